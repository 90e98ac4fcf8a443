"""Row 17: the built-in evaluation reads images; other files differ in their first bytes."""

import io

import pytest
from PIL import Image

from fedjob.workspace.shard.image_head import HEAD_BYTES, begins_like_an_image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_every_format_that_is_decoded_is_recognised(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, kind)
    assert begins_like_an_image(buffer.getvalue()[:HEAD_BYTES])


@pytest.mark.parametrize(
    "head", [b"", b"a,b\n1,2\n", b"\x80\x04\x95", b"PK\x03\x04", b"{}", b"RIFF"]
)
def test_other_files_are_no_images(head):
    assert not begins_like_an_image(head)
