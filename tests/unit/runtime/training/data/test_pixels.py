"""Bytes to pixels to tensors."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zlib

import pytest
import torch
from PIL import Image

from fedjob_runtime.training.data.pixels import decode, to_tensor
from fedjob_runtime.training.errors import (
    ImageError,
    ImageInvalidError,
    ImageRefusedError,
)


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
