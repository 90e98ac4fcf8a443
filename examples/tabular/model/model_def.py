"""Benign or malignant, from 30 measurements: a small network on standardised columns."""

import torch
from preprocessing import read_rows
from torch import nn


class Classifier(nn.Module):
    """Standardised measurements [N, 30] to one logit [N]: above 0 is benign."""

    def __init__(self, width=32, dropout=0.1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(30, width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, rows):
        return self.layers(rows).squeeze(1)


def fl_train(model, env, out_dir, logger=None):
    torch.manual_seed(env["CURRENT_ROUND"])
    rows, benign = read_rows(env["DATA_ROOT"])
    # A clinic that sees few malignant cases must not learn that there are few.
    weight = (1 - benign).sum() / benign.sum()
    optimizer = torch.optim.AdamW(model.parameters(), lr=env["LR"], weight_decay=0.01)
    for _ in range(env["EPOCHS"]):
        total = 0.0
        for batch in torch.randperm(len(rows)).split(env["BATCH_SIZE"]):
            logits = model(rows[batch])
            loss = nn.functional.binary_cross_entropy_with_logits(
                logits, benign[batch], pos_weight=weight
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    return {
        "weights": model.state_dict(),
        "samples": len(rows),
        "metrics": {"loss": total / len(rows)},
    }


def fl_validate(model, env, out_dir, logger=None):
    rows, benign = read_rows(env["DATA_ROOT"])
    found = model(rows) > 0
    malignant = benign == 0
    return {
        "accuracy": (found == benign.bool()).float().mean().item(),
        # Of the malignant cases, how many were found: the number that matters here.
        "sensitivity": (~found[malignant]).float().mean().item(),
    }
