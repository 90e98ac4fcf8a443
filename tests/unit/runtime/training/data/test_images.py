"""Images in the shard, refused addresses, decoding within limits (CONTRACT rows 18 and 19)."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from fedjob_runtime.training.data.addresses import allowed_hosts, is_public, resolve
from fedjob_runtime.training.data.download import parse_url
from fedjob_runtime.training.data.images import open_image
from fedjob_runtime.training.data.pixels import decode, to_tensor
from fedjob_runtime.training.errors import (
    ImageError,
    ImageInvalidError,
    ImageRefusedError,
    ImageUnavailableError,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shard"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (4, 2), (10, 20, 30)).save(folder / "images" / "a b.png")
    Image.new("RGB", (4, 2)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inner.png").symlink_to(folder / "images" / "a b.png")
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "fifo")
    return folder


@pytest.mark.parametrize(
    "uri",
    [
        "images/a b.png",
        "./images/../images/a b.png",
        "file://images/a b.png",
        "file://images/a%20b.png",
        "FILE://images/a b.png",
        "inner.png",
    ],
)
def test_files_of_the_shard(root: Path, uri: str) -> None:
    """Row 18."""
    image = open_image(uri, root)
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (4, 2), (10, 20, 30))


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.png",
        "file://../secret.png",
        "file://%2e%2e/secret.png",
        "file:///etc/hostname",
        "/etc/hostname",
        "link.png",
        "out/secret.png",
        "a\0.png",
        "http://example.com/a.png",
        "ftp://example.com/a.png",
        "s3://bucket/a.png",
        "https://user:pass@example.com/a.png",
        "https:///a.png",
        "https://example.com:0/a.png",
        "https://example.com:99999/a.png",
        "https://127.0.0.1/a.png",
        "https://localhost/a.png",
        "https://[::1]/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a.png",
        "https://0x7f000001/a.png",
        "https://2130706433/a.png",
        "https://127.1/a.png",
    ],
)
def test_what_is_refused(root: Path, uri: str) -> None:
    """Row 19: http, private addresses, however they are written; and nothing outside the shard."""
    with pytest.raises(ImageRefusedError) as caught:
        open_image(uri, root)
    assert caught.value.fix


@pytest.mark.parametrize("uri", ["absent.png", "images", "fifo", "loop", "x" * 5000, ""])
def test_what_is_not_there(root: Path, uri: str) -> None:
    with pytest.raises(ImageUnavailableError):
        open_image(uri, root)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "203.0.113.1",
        "192.88.99.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


def test_a_private_host_is_allowed_by_name_or_by_name_and_port_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEDJOB_ALLOW_IMAGE_HOSTS", " Localhost:8443 , other,")
    assert allowed_hosts() == {"localhost:8443", "other"}
    assert resolve("localhost", 8443, allowed_hosts())
    with pytest.raises(ImageRefusedError, match="FEDJOB_ALLOW_IMAGE_HOSTS"):
        resolve("localhost", 443, allowed_hosts())
    with pytest.raises(ImageRefusedError, match=r"127\.0\.0\.1"):
        resolve("127.0.0.1", 8443, allowed_hosts())


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ImageUnavailableError, match="cannot be resolved"):
        resolve("no-such-host.invalid", 443, frozenset())


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("https://Example.com", "https://example.com/"),
        ("https://example.com/a b.png?q=ü#part", "https://example.com/a%20b.png?q=%C3%BC"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://example.com/a%20b\r\nHost: x", "https://example.com/a%20bHost:%20x"),
        ("https://[2606:4700::1]:8443/x", "https://[2606:4700::1]:8443/x"),
    ],
)
def test_addresses_become_plain(given: str, plain: str) -> None:
    assert parse_url(given) == plain


def png(mode: str, value: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (2, 3), value).save(buffer, "PNG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "pixel"),
    [
        (png("L", 100), (100, 100, 100)),
        (png("1", 1), (255, 255, 255)),
        (png("RGBA", (1, 2, 3, 4)), (1, 2, 3)),
        (png("LA", (9, 4)), (9, 9, 9)),
        (png("P", 0, transparency=b"\0\1"), (0, 0, 0)),
        (png("I;16", 65535), (255, 255, 255)),
        (png("I;16", 257 * 77), (77, 77, 77)),
    ],
)
def test_every_mode_becomes_rgb(content: bytes, pixel: tuple[int, int, int]) -> None:
    image = decode(content, "x")
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", pixel)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_every_format(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(buffer, kind)
    red = decode(buffer.getvalue(), "x").getpixel((4, 4))
    assert isinstance(red, tuple)
    assert red[0] > 180


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (4, 2)).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), "x").size == (2, 4)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(8001, 8000), (10000, 10000), (60000, 60000), (1, 64_000_001)])
def test_more_pixels_than_allowed_are_refused_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(ImageRefusedError, match="pixels"):
        decode(bomb(*size), "x")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>no</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", bomb(400, 400), png("L", 1)[:-30]],
)
def test_what_is_no_image(content: bytes) -> None:
    with pytest.raises(ImageInvalidError, match=r"^photo "):
        decode(content, "photo")


def test_floating_point_pixels_are_refused() -> None:
    buffer = io.BytesIO()
    Image.new("F", (2, 2), 0.5).save(buffer, "TIFF")
    with pytest.raises(ImageInvalidError, match="floating-point"):
        decode(buffer.getvalue(), "x")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_images_are_an_error_or_an_image_never_anything_else(kind: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((16, 16), 90).convert("RGB").save(buffer, kind)
    random.seed(2)
    for _ in range(150):
        damaged = bytearray(buffer.getvalue())
        for _ in range(random.randrange(1, 12)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        with contextlib.suppress(ImageError):
            assert decode(bytes(damaged), "x").mode == "RGB"


def test_to_tensor_scales_and_resizes() -> None:
    tensor = to_tensor(Image.new("RGB", (4, 2), (255, 51, 0)), 6)
    assert (tensor.shape, tensor.dtype) == ((3, 6, 6), torch.float32)
    assert tensor[:, 0, 0].tolist() == pytest.approx([1, 0.2, 0])
