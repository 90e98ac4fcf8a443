"""Images in the shard, refused addresses, decoding within limits (CONTRACT rows 18 and 19)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from fedjob_runtime.training.data.images import open_image
from fedjob_runtime.training.errors import (
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
