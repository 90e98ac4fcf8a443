"""A transformer encoder from a configuration, with plain linear layers that LoRA can replace."""

import torch
from torch import nn


class Block(nn.Module):
    """Attention and a feed-forward network, each with a residual: [N, T, width] to the same."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.mix = nn.Linear(width, width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x):
        y = self.norm_1(x)
        attended = nn.functional.scaled_dot_product_attention(
            self.split(self.query(y)), self.split(self.key(y)), self.split(self.value(y))
        )
        x = x + self.mix(attended.transpose(1, 2).flatten(2))
        return x + self.feed(self.norm_2(x))


class Encoder(nn.Module):
    """Events [N, T] to features [N, width]."""

    def __init__(self, kinds, length, width, heads, layers):
        super().__init__()
        self.events = nn.Embedding(kinds, width)
        self.neighbours = nn.Conv1d(width, width, 3, padding=1)
        self.positions = nn.Parameter(0.1 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, events):
        x = self.events(events)
        x = x + self.neighbours(x.transpose(1, 2)).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x).amax(1)
