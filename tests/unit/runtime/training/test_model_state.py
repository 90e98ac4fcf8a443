"""All weights of a model, the part that state_dict() gives, tied names, sparse buffers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fedjob_runtime.training.model_state import (
    gives_part,
    model_weights,
    set_weights,
    tied_names,
)


class Adapter(nn.Module):
    """Saves its adapter alone, as LoRA libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(3, 3)
        self.lora = nn.Linear(3, 3, bias=False)
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        full = super().state_dict(*args, **kwargs)
        return {name: value for name, value in full.items() if "lora" in name}


class Renaming(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {f"net.{name}": v for name, v in super().state_dict(*args, **kwargs).items()}

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        plain = {name.removeprefix("net."): value for name, value in state.items()}
        return super().load_state_dict(plain, strict, assign)


def test_weights_are_complete_where_the_own_state_dict_is_not() -> None:
    model, other = Adapter(), Adapter()
    assert gives_part(model)
    weights = model_weights(model)
    assert set(weights) == {"base.weight", "base.bias", "lora.weight", "count"}
    set_weights(other, weights)
    assert torch.equal(other.base.weight, model.base.weight)
    assert torch.equal(other.lora.weight, model.lora.weight)


def test_a_state_dict_with_other_names_is_whole() -> None:
    model, other = Renaming(), Renaming()
    assert not gives_part(model)
    weights = model_weights(model)
    assert set(weights) == {"net.inner.weight", "net.inner.bias"}
    set_weights(other, weights)
    assert torch.equal(other.inner.weight, model.inner.weight)


def test_ordinary_models_give_all() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert not gives_part(model)
    assert model_weights(model).keys() == model.state_dict().keys()


def test_tied_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    assert tied_names(model) == []
    model[2].weight = model[0].weight
    assert tied_names(model) == [("0.weight", "2.weight")]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_a_sparse_buffer_travels_dense_and_is_loaded_sparse() -> None:
    for layout in (torch.sparse_coo, torch.sparse_csr):
        model, other = nn.Linear(1, 1), nn.Linear(1, 1)
        dense = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
        model.register_buffer("adjacency", dense.to_sparse(layout=layout))
        other.register_buffer("adjacency", torch.eye(2).to_sparse(layout=layout))
        weights = model_weights(model)
        assert torch.equal(weights["adjacency"], dense)
        set_weights(other, weights)
        buffer = other.adjacency
        assert isinstance(buffer, torch.Tensor)
        assert buffer.layout is layout
        assert torch.equal(buffer.to_dense(), dense)
