"""Bytes to pixels to tensors, whatever the image's mode; bounded, since an image may be hostile."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fedjob_runtime.training.errors import ImageInvalidError, ImageRefusedError

MAX_PIXELS = 64_000_000
"""Of one image: 192 MB decoded. Above what cameras make, far below what a small file can claim."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""No format whose decoder starts another program (EPS) or that nobody trains on."""

_SAVE = "save it as PNG or JPEG"


def decode(source: Path | bytes, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes an image to RGB, turned the way its EXIF orientation says.

    Args:
        source: A file or its content. Of several frames the first counts.
        name: For the error.
        max_pixels: Checked before anything is decoded.

    Returns:
        8 bits a channel; grey becomes three equal channels, 16-bit grey is scaled to 8 bits.

    Raises:
        ImageRefusedError: It has more pixels.
        ImageInvalidError: It is not an image, is cut off, or is of another format.
    """
    try:
        with _opened(source) as file, Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageRefusedError(
                    f"{name} has {image.width} x {image.height} pixels, more than {max_pixels}",
                    "make it smaller",
                )
            return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefusedError(
            f"{name} has more than {max_pixels} pixels", "make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageInvalidError(f"{name} is not an image of {', '.join(FORMATS)}", _SAVE) from error
    # What Pillow's decoders raise on damaged files, found by damaging many.
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        EOFError,
        struct.error,
        NotImplementedError,
    ) as error:
        raise ImageInvalidError(
            f"{name} cannot be decoded: {error}"[:300], _SAVE + " again"
        ) from error


def to_tensor(image: Image.Image, size: int) -> Tensor:
    """Resizes (bilinear, antialiased) and scales an RGB image.

    Returns:
        float32 [3, size, size] in [0, 1].
    """
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(size, size, 3).permute(2, 0, 1).float().div_(255)


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        msg = "its pixels are floating-point numbers without a known range"
        raise ValueError(msg)
    if image.mode.startswith("I"):
        # 16-bit grey; Pillow itself would clip everything above 255 to white.
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
