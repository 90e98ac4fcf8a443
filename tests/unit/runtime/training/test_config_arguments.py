"""Mappings become dataclasses and pydantic models where the constructor takes one."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Optional

import pytest
from pydantic import BaseModel

from fedjob_runtime.training.config_arguments import with_configs
from fedjob_runtime.training.errors import ModelInvalidError


@dataclass
class Layer:
    width: int
    dropout: float = 0.0


@dataclass
class Config:
    layers: list[Layer] = field(default_factory=list)
    head: Layer | None = None


class Settings(BaseModel):
    width: int = 3


class Net:
    def __init__(self, config: Config, other: dict[str, Any] | None = None) -> None: ...


def optional(config: Optional[Config] = None) -> None: ...  # noqa: UP045 (the older spelling)


def by_default(config=Config()): ...  # type: ignore[no-untyped-def] # noqa: B008


def pydantic(config: Settings) -> None: ...


def unresolvable(config: Config, x: Absent = None) -> None: ...  # type: ignore[name-defined] # noqa: F821


GIVEN = {"layers": [{"width": 2}, {"width": 3, "dropout": 0.5}], "head": {"width": 1}}
BUILT = Config([Layer(2), Layer(3, 0.5)], Layer(1))


@pytest.mark.parametrize(
    "maker",
    [Net, optional, by_default, functools.partial(optional)],
    ids=str.split("class optional default partial"),
)
def test_nested_dataclasses_are_built(maker: Any) -> None:
    assert with_configs(maker, {"config": GIVEN}, "spec.model.args")["config"] == BUILT


def test_mappings_for_other_arguments_stay() -> None:
    given = {"config": GIVEN, "other": {"a": [1]}}
    assert with_configs(Net, given, "x")["other"] == {"a": [1]}
    assert with_configs(unresolvable, {"config": GIVEN}, "x")["config"] == GIVEN


def test_pydantic_models_are_validated() -> None:
    assert with_configs(pydantic, {"config": {"width": "5"}}, "x")["config"] == Settings(width=5)
    with pytest.raises(ModelInvalidError, match="x: config"):
        with_configs(pydantic, {"config": {"width": "wide"}}, "x")


def test_a_field_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ModelInvalidError, match="hiden") as caught:
        with_configs(Net, {"config": {"head": {"hiden": 3}}}, "spec.model.args of Net")
    assert "spec.model.args of Net: config.head" in caught.value.problem
    assert "Layer takes width, dropout" in caught.value.fix
