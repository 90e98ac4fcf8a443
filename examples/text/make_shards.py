"""Make the shards of this example: English prose that comes inside scikit-learn.

scikit-learn ships a description of each of its data sets (about 43,000 characters). Each worker
gets the paragraphs of other descriptions; every eighth paragraph goes to no worker, and the model
is evaluated on those. A ZIP holds one plain text file: no manifest.

    author-0.zip    medicine, flowers, wine
    author-1.zip    houses, forests, animals
    author-2.zip    faces, digits, news
    validation.zip  every eighth paragraph of all of them

    python examples/text/make_shards.py [--out DIR]
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shard_files import out_folder, write_zip

TEXTS = {
    "author-0.zip": ("breast_cancer", "diabetes", "iris", "wine_data"),
    "author-1.zip": ("california_housing", "covtype", "linnerud", "species_distributions"),
    "author-2.zip": ("digits", "lfw", "olivetti_faces", "twenty_newsgroups"),
}
HELD_OUT = 8
"""One paragraph in this many is held out."""


def main() -> int:
    """Write the four ZIPs."""
    out = out_folder(__file__, __doc__)
    descriptions = files("sklearn.datasets.descr")
    held_out: list[str] = []
    for name, texts in TEXTS.items():
        whole = "\n\n".join((descriptions / f"{text}.rst").read_text("utf-8") for text in texts)
        paragraphs = [part for part in whole.split("\n\n") if part.strip()]
        held_out += paragraphs[::HELD_OUT]
        kept = [part for index, part in enumerate(paragraphs) if index % HELD_OUT]
        write_zip(out / name, {"prose.txt": "\n\n".join(kept).encode()})
    write_zip(out / "validation.zip", {"prose.txt": "\n\n".join(held_out).encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
