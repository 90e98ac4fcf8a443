"""What both sides train: models of two sizes whose training adds 1 to every tensor.

Training costs next to nothing, so that a round's seconds are the system's own. The last model must
be `START + rounds` everywhere, which shows that every round of either side was a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 0.5
CLIENTS = 2

# The model of both sides; NVFlare finds it as net.Net, fedjob as model_def.Net.
NET = f"""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, tensors: int, size: int) -> None:
        super().__init__()
        self.tensors, self.size = tensors, size  # NVFlare's recipe looks for them here
        self.layers = nn.ParameterList(
            [nn.Parameter(torch.full((size,), {START})) for _ in range(tensors)]
        )
"""

# Form A of the contract.
FEDJOB_TRAINING = """

def fl_train_model(payload, out_dir, logger):
    weights = {name: value + 1 for name, value in payload["initial_weights"].items()}
    return {"weights": weights, "samples": 1, "metrics": {"loss": 0.0}}
"""

# A client script as NVFlare's documentation writes them.
NVFLARE_TRAINING = """
import nvflare.client as flare

flare.init()
while flare.is_running():
    model = flare.receive()
    params = {name: value + 1 for name, value in model.params.items()}
    flare.send(
        flare.FLModel(
            params=params, metrics={"loss": 0.0}, meta={"NUM_STEPS_CURRENT_ROUND": 1}
        )
    )
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One model and how long it is trained.

    Attributes:
        name: Such as `small`.
        tensors: Float32 tensors of the model.
        size: Elements of each.
        rounds: Rounds of a run; the first is not counted among the seconds a round.
    """

    name: str
    tensors: int
    size: int
    rounds: int

    @property
    def megabytes(self) -> float:
        """Size of the weights, in 10^6 bytes."""
        return self.tensors * self.size * 4 / 1e6
