"""The model and the aggregator of builder_and_mean.py."""

import torch
from nvflare.apis.dxo import from_shareable
from nvflare.app_common.abstract.aggregator import Aggregator
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x * self.value


def fl_train_model(payload):
    number = int(payload["env"]["SITE_NAME"].rpartition("-")[2])
    return {"weights": {"value": torch.full((1,), 10.0 + number)}, "samples": 1 + 99 * number}


class FirstAnswer(Aggregator):
    """The smallest value, however many samples stand behind it."""

    def __init__(self):
        super().__init__()
        self.answers = []

    def accept(self, shareable, fl_ctx):
        self.answers.append(from_shareable(shareable))
        return True

    def aggregate(self, fl_ctx):
        answers, self.answers = self.answers, []
        return min(answers, key=lambda dxo: float(dxo.data["value"][0])).to_shareable()
