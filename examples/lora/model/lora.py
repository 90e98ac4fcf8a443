"""LoRA by hand: a frozen linear layer with a trained low-rank correction.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models": W x becomes
W x + (alpha / rank) B A x, where A and B are small and B starts at zero.
"""

import math

import torch
from torch import nn


class LoraLinear(nn.Module):
    """A linear layer [*, inputs] -> [*, outputs] whose own weights stay as they are."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.lora_a.T @ self.lora_b.T)


def add_lora(module, rank, alpha):
    """Replaces every linear layer below `module`; returns it."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, LoraLinear(child, rank, alpha))
        else:
            add_lora(child, rank, alpha)
    return module


def adapters(model):
    """The part of the state dict that is trained: what a worker sends back."""
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name in trained}
