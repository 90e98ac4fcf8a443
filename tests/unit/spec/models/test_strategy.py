"""`spec.federation.strategy`."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from fedjob.spec.models.strategy import ARGUMENTS, Strategy, StrategyArgs, StrategyName


def test_every_strategy_has_its_arguments_and_every_argument_a_strategy() -> None:
    assert set(ARGUMENTS) == set(get_args(StrategyName))
    taken = {name for arguments in ARGUMENTS.values() for name in arguments}
    assert taken == set(StrategyArgs.model_fields)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_defaults_are_within_the_bounds(name: str) -> None:
    again = Strategy.model_validate({"name": name, "args": ARGUMENTS[name]})
    assert again.arguments() == Strategy(name=name).arguments() == ARGUMENTS[name]  # type: ignore[arg-type]


def test_given_arguments_replace_defaults() -> None:
    given = Strategy.model_validate({"name": "FedAdam", "args": {"learningRate": 0, "tau": 1}})
    assert given.arguments() == {"learning_rate": 0, "beta1": 0.9, "beta2": 0.99, "tau": 1}


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(ValidationError, match="beta3"):
        Strategy.model_validate({"name": "FedAdam", "args": {"beta3": 0.5}})
