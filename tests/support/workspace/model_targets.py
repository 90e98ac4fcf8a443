"""A model file with a class, a factory and a dataclass."""

HEAD = """
import functools
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import nn
from elsewhere import Imported


class Net(nn.Module):
    def __init__(self, width, num_classes=2):
        super().__init__()


def make_net(hidden=64, *, depth):
    return nn.Sequential(nn.Linear(20, hidden))


@dataclass
class Config:
    hidden: int
    dropout: float = 0.0
    tags: list = field(default_factory=list)
    seen: int = field(init=False)
    shared: ClassVar[int] = 1
    needed: int = field(repr=False)

    def total(self):
        return self.hidden

"""
