"""Whether a file begins like an image that training and evaluation decode."""

from __future__ import annotations

import re

HEAD_BYTES = 16
_IMAGE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8|BM|RIFF....WEBP|II[*+]\0|MM\0[*+]|P[1-6]\s", re.DOTALL
)


def begins_like_an_image(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` bytes are those of a PNG, JPEG, WEBP, GIF, BMP, TIFF or PPM.

    Formats: fedjob_runtime/training/data/pixels.py decodes these, and refuses all others.
    """
    return _IMAGE.match(head) is not None
