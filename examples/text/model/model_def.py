"""The next character of a text: a small transformer, trained on windows of it."""

import math

import torch
from characters import VOCABULARY, read_folder
from torch import nn

WINDOW = 32


class CharacterModel(nn.Module):
    """Characters [N, T] to logits of the character after each, [N, T, VOCABULARY]."""

    def __init__(self, width=64, heads=4, layers=1):
        super().__init__()
        self.characters = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(WINDOW, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, VOCABULARY)

    def forward(self, text):
        length = text.shape[1]
        x = self.characters(text) + self.positions.weight[:length]
        later = torch.triu(torch.ones(length, length, dtype=torch.bool, device=x.device), 1)
        return self.out(self.norm(self.blocks(x, mask=later)))


def windows(text, starts):
    """Windows [N, T] of the text that begin at `starts`, and the characters after them."""
    index = starts[:, None] + torch.arange(WINDOW)
    return text[index], text[index + 1]


def loss_of(model, text, starts):
    """Mean cross-entropy per character, in nats."""
    known, following = windows(text, starts)
    return nn.functional.cross_entropy(model(known).flatten(0, 1), following.flatten())


def fl_train(model, env, out_dir, logger=None):
    torch.manual_seed(1000 * env["CURRENT_ROUND"] + len(env["SITE_NAME"]))
    text = read_folder(env["DATA_ROOT"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=env["LR"])
    steps = env["EPOCHS"] * len(text) // (WINDOW * env["BATCH_SIZE"])
    total = 0.0
    for _ in range(steps):
        loss = loss_of(model, text, torch.randint(len(text) - WINDOW - 1, (env["BATCH_SIZE"],)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    return {
        "weights": model.state_dict(),
        "samples": len(text),
        "metrics": {"bits_per_character": total / steps / math.log(2)},
    }


def fl_validate(model, env, out_dir, logger=None):
    text = read_folder(env["DATA_ROOT"])
    nats = loss_of(model, text, torch.arange(0, len(text) - WINDOW - 1, WINDOW)).item()
    return {"bits_per_character": nats / math.log(2)}
