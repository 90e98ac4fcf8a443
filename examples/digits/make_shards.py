"""Make the shards of this example: real handwritten digits, split unevenly over three workers.

The images are the 1,797 digits of 8x8 pixels that come inside scikit-learn (`load_digits`, from the
UCI "Optical Recognition of Handwritten Digits" data set), so nothing is downloaded. Written are

    digits-0.zip    700 images, mostly of the digits 0 to 4
    digits-1.zip    450 images, mostly of the digits 4 to 7
    digits-2.zip    297 images, mostly of the digits 7 to 9
    validation.zip  350 images that no worker has, all digits alike

each with its `manifest.ndjson` at the root. Run twice, it writes the same bytes twice.

    python examples/digits/make_shards.py [--out DIR]
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

SEED = 1797
VALIDATION = 350
SHARDS = {"digits-0.zip": 700, "digits-1.zip": 450, "digits-2.zip": 297}
OWN = {
    "digits-0.zip": (0, 1, 2, 3, 4),
    "digits-1.zip": (4, 5, 6, 7),
    "digits-2.zip": (7, 8, 9),
}
# How much likelier a worker's own digits are in its shard than the other digits.
PREFERENCE = 6.0


def split(labels: list[int]) -> dict[str, list[int]]:
    """Deal every image to exactly one ZIP: file name -> indices of its images, ascending."""
    rng = random.Random(SEED)  # noqa: S311 (a split, not a secret)
    order = list(range(len(labels)))
    rng.shuffle(order)
    dealt = {"validation.zip": order[:VALIDATION]}
    rest = order[VALIDATION:]
    for name, size in SHARDS.items():
        # Weighted sampling without replacement: the largest u ** (1 / weight) win
        # (Efraimidis and Spirakis, 2006).
        weight = {index: PREFERENCE if labels[index] in OWN[name] else 1.0 for index in rest}
        ranked = sorted(rest, key=lambda index: rng.random() ** (1 / weight[index]), reverse=True)
        dealt[name], rest = ranked[:size], ranked[size:]
    return {name: sorted(indices) for name, indices in dealt.items()}


def png(pixels: Any) -> bytes:
    """Encode one 8x8 image with values 0..16 as a grey PNG."""
    from PIL import Image

    grey = (pixels * (255.0 / 16.0)).round().astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write a ZIP that depends on its content only: fixed times, modes and order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def make(out: Path) -> None:
    """Write the three shards and the validation ZIP into `out`."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = [int(label) for label in digits.target]
    out.mkdir(parents=True, exist_ok=True)
    for name, indices in sorted(split(labels).items()):
        lines, images = [], {}
        for index in indices:
            uri = f"images/{index:04d}.png"
            lines.append(json.dumps({"id": f"digit-{index:04d}", "uri": uri, "y": labels[index]}))
            images[uri] = png(digits.images[index])
        write_zip(out / name, {"manifest.ndjson": ("\n".join(lines) + "\n").encode(), **images})
        counts = Counter(labels[index] for index in indices)
        shares = " ".join(f"{digit}:{counts[digit]}" for digit in range(10))
        print(f"{out / name}: {len(indices)} images ({shares})")


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent / "shards"
    parser.add_argument("--out", type=Path, default=default, help=f"folder to write to ({default})")
    make(parser.parse_args().out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
