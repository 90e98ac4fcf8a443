"""Make the shards of this example: wines of three growers, split unevenly over three cellars.

The 178 rows with 13 measurements come inside scikit-learn (`load_wine`, from the UCI "Wine" data
set), so nothing is downloaded. Each ZIP holds one `wines.csv`: no manifest.

    cellar-0.zip    60 bottles, mostly of grower 0
    cellar-1.zip    50 bottles, mostly of grower 1
    cellar-2.zip    28 bottles, mostly of grower 2
    validation.zip  40 bottles that no worker has

    python examples/notebook/make_shards.py [--out DIR]
"""

from __future__ import annotations

import csv
import io
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shard_files import out_folder, write_zip

SIZES = {"validation.zip": 40, "cellar-0.zip": 60, "cellar-1.zip": 50, "cellar-2.zip": 28}
OWN = {"cellar-0.zip": 0, "cellar-1.zip": 1, "cellar-2.zip": 2}
PREFERENCE = 3.0
"""How much likelier a bottle of its own grower comes to a cellar than another."""


def main() -> int:
    """Write the four ZIPs."""
    from sklearn.datasets import load_wine

    out = out_folder(__file__, __doc__)
    data = load_wine()
    rng = random.Random(178)  # noqa: S311 (a split, not a secret)
    rest = list(range(len(data.target)))
    for name, size in SIZES.items():
        weight = [PREFERENCE if int(grower) == OWN.get(name) else 1.0 for grower in data.target]
        # Weighted sampling without replacement: the largest u ** (1 / weight) win.
        ranked = sorted(rest, key=lambda row: rng.random() ** (1 / weight[row]), reverse=True)
        rows, rest = sorted(ranked[:size]), ranked[size:]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerows([*data.data[row].tolist(), int(data.target[row])] for row in rows)
        write_zip(out / name, {"wines.csv": text.getvalue().encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
