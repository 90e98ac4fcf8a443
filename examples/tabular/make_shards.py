"""Make the shards of this example: breast cancer diagnoses, split unevenly over three clinics.

The 569 rows with 30 measurements come inside scikit-learn (`load_breast_cancer`, from the UCI
"Breast Cancer Wisconsin (Diagnostic)" data set), so nothing is downloaded. Each ZIP holds one
`rows.csv`: no manifest, because the training function reads the file itself.

    clinic-0.zip    220 rows, mostly benign
    clinic-1.zip    140 rows, mostly malignant
    clinic-2.zip     89 rows, as they come
    validation.zip  120 rows that no worker has

    python examples/tabular/make_shards.py [--out DIR]
"""

from __future__ import annotations

import csv
import io
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shard_files import out_folder, write_zip

SEED = 569
SIZES = {"validation.zip": 120, "clinic-0.zip": 220, "clinic-1.zip": 140, "clinic-2.zip": 89}
# How much likelier a clinic gets a row of the diagnosis it sees more of: 0 malignant, 1 benign.
PREFERENCE = {"clinic-0.zip": {1: 3.0}, "clinic-1.zip": {0: 3.0}}


def split(labels: list[int]) -> dict[str, list[int]]:
    """Deal every row to exactly one ZIP: file name -> row numbers, ascending."""
    rng = random.Random(SEED)  # noqa: S311 (a split, not a secret)
    rest = list(range(len(labels)))
    dealt = {}
    for name, size in SIZES.items():
        weights = PREFERENCE.get(name, {})
        # Weighted sampling without replacement: the largest u ** (1 / weight) win.
        ranked = sorted(
            rest, key=lambda row: rng.random() ** (1 / weights.get(labels[row], 1.0)), reverse=True
        )
        dealt[name], rest = sorted(ranked[:size]), ranked[size:]
    return dealt


def main() -> int:
    """Write the four ZIPs."""
    from sklearn.datasets import load_breast_cancer

    out = out_folder(__file__, __doc__)
    data = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names]
    for name, rows in sorted(split([int(label) for label in data.target]).items()):
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*names, "benign"])
        table.writerows([*data.data[row].tolist(), int(data.target[row])] for row in rows)
        write_zip(out / name, {"rows.csv": text.getvalue().encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
