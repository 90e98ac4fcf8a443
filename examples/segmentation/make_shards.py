"""Make the shards of this example: microscope-like images with cells, and a mask for each.

Everything is generated from a fixed seed: bright ellipses (cells) and dark rectangles (dust) on a
noisy background; the mask has the cells only. Every site has other light and noise. A ZIP holds
`images/NNN.png` and `masks/NNN.png`, 32x32 grey: no manifest.

    site-0.zip      60 images, bright
    site-1.zip      40 images, dark
    site-2.zip      30 images, noisy
    validation.zip  30 images of all kinds, which no worker has

    python examples/segmentation/make_shards.py [--out DIR]
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shard_files import out_folder, write_zip

SIZE = 32
# Number of images, and of each kind: brightness of the background and strength of the noise.
SITES = {
    "site-0.zip": (60, ((0.45, 0.05),)),
    "site-1.zip": (40, ((0.2, 0.05),)),
    "site-2.zip": (30, ((0.3, 0.12),)),
    "validation.zip": (30, ((0.45, 0.05), (0.2, 0.05), (0.3, 0.12))),
}


def draw(rng: np.random.Generator, light: float, noise: float) -> tuple[Any, Any]:
    """One image [SIZE, SIZE] in 0..1 and its mask [SIZE, SIZE] of 0 and 1."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = light + 0.1 * (x / SIZE - 0.5)
    mask = np.zeros((SIZE, SIZE), bool)
    for _ in range(rng.integers(1, 4)):
        left, top = rng.integers(0, SIZE - 7, 2)
        wide, high = rng.integers(3, 7, 2)
        image[top : top + high, left : left + wide] -= 0.15
    for _ in range(rng.integers(1, 5)):
        centre_x, centre_y = rng.uniform(5, SIZE - 5, 2)
        radius_x, radius_y = rng.uniform(3, 6, 2)
        inside = ((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2 <= 1
        image[inside] = light + 0.3
        mask |= inside
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 1), mask


def png(pixels: Any) -> bytes:
    """A grey PNG of values in 0..1."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype("uint8")).save(buffer, format="PNG")
    return buffer.getvalue()


def main() -> int:
    """Write the four ZIPs."""
    out = out_folder(__file__, __doc__)
    rng = np.random.default_rng(32)
    for name, (count, kinds) in SITES.items():
        files = {}
        for number in range(count):
            image, mask = draw(rng, *kinds[number % len(kinds)])
            files[f"images/{number:03d}.png"] = png(image)
            files[f"masks/{number:03d}.png"] = png(mask.astype(float))
        write_zip(out / name, files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
