"""Rows of a clinic as tensors, standardised the same way everywhere.

The centres and scales are in columns.json, beside this file: constants that the clinics agreed on,
not statistics of anybody's rows. Standardising with a clinic's own mean would hide the differences
between clinics that the model has to learn.
"""

import csv
import json
from pathlib import Path

import torch

COLUMNS = json.loads((Path(__file__).parent / "columns.json").read_text())


def read_rows(folder):
    """Measurements [N, 30] and benign [N] (0 or 1), as float tensors."""
    measurements, benign = [], []
    with open(Path(folder) / "rows.csv", newline="") as file:
        for row in csv.DictReader(file):
            measurements.append(
                [(float(row[name]) - c["centre"]) / c["scale"] for name, c in COLUMNS.items()]
            )
            benign.append(float(row["benign"]))
    return torch.tensor(measurements), torch.tensor(benign)
