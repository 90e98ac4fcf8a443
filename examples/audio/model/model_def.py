"""Which instrument plays: a small CNN on spectrograms. Form A: it builds its own model."""

import torch
from sound import INSTRUMENTS, read_room, spectrogram
from torch import nn


class Listener(nn.Module):
    """Spectrograms [N, 1, F, T] to logits [N, instruments]."""

    def __init__(self, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=2), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2), nn.ReLU(),
            nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(8 * width, len(INSTRUMENTS)),
        )  # fmt: skip

    def forward(self, pictures):
        return self.layers(pictures)


def fl_train_model(payload, out_dir=None, logger=None):
    env = payload["env"]
    torch.manual_seed(env["CURRENT_ROUND"])
    sounds, labels = read_room(payload["dataset"]["data_root"])
    pictures = spectrogram(sounds)
    model = Listener()
    model.set_weights(payload["initial_weights"])
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=env["learning_rate"])
    for _ in range(env["local_epochs"]):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(env["batch_size"]):
            loss = nn.functional.cross_entropy(model(pictures[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    return {
        "weights": model.state_dict(),
        "samples": len(labels),
        "metrics": {"loss": total / len(labels)},
    }


def fl_validate(model, env, out_dir, logger=None):
    sounds, labels = read_room(env["DATA_ROOT"])
    return {"accuracy": (model(spectrogram(sounds)).argmax(1) == labels).float().mean().item()}
