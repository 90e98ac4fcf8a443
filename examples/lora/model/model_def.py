"""Which fault a sequence of events shows: adapters on a frozen transformer."""

import json
from pathlib import Path

import torch
from lora import adapters, add_lora
from torch import nn
from transformer import Encoder

CONFIG = json.loads((Path(__file__).parent / "config.json").read_text())


class FaultModel(nn.Module):
    """Events [N, T] to logits [N, labels]. Trained are the adapters and the head."""

    def __init__(self):
        super().__init__()
        sizes = {name: CONFIG[name] for name in ("kinds", "length", "width", "heads", "layers")}
        self.encoder = Encoder(**sizes).requires_grad_(False)
        add_lora(self.encoder, CONFIG["rank"], CONFIG["alpha"])
        self.head = nn.Linear(CONFIG["width"], CONFIG["labels"])

    def forward(self, events):
        return self.head(self.encoder(events))


def read_sequences(folder):
    """Events [N, T] and faults [N]."""
    rows = json.loads((Path(folder) / "sequences.json").read_text())
    return torch.tensor([r["events"] for r in rows]), torch.tensor([r["fault"] for r in rows])


def fl_train(model, env, out_dir, logger=None):
    torch.manual_seed(env["CURRENT_ROUND"])
    events, faults = read_sequences(env["DATA_ROOT"])
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=env["LR"])
    for _ in range(env["EPOCHS"]):
        total = 0.0
        for batch in torch.randperm(len(faults)).split(env["BATCH_SIZE"]):
            loss = nn.functional.cross_entropy(model(events[batch]), faults[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    return {
        "weights": adapters(model),  # a part: spec.federation.partial is true
        "samples": len(faults),
        "metrics": {"loss": total / len(faults)},
    }


def fl_validate(model, env, out_dir, logger=None):
    events, faults = read_sequences(env["DATA_ROOT"])
    return {"accuracy": (model(events).argmax(1) == faults).float().mean().item()}
