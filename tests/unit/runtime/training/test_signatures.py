"""Which form a training function has, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from fedjob_runtime.training.errors import (
    TrainFunctionInvalidError,
)
from fedjob_runtime.training.signatures import Form, find_train_function
from support.training_run import OK, Train, calls


@pytest.mark.parametrize(
    "signature",
    [
        "model, env, out_dir, logger=None",
        "model, env, out_dir",
        "net, settings, folder, logger",
        "*, out_dir, env, model",
        "*args, **kwargs",
        "model, env, out_dir, other=1, logger=None",
    ],
)
def test_form_b_s_signatures(train: Train, signature: str) -> None:
    text = f"def fl_train({signature}):\n    CALLS.append(1)\n{OK}"
    assert train(text).samples == 3
    assert calls() == [1]


@pytest.mark.parametrize(
    ("text", "name", "form"),
    [
        ("def fl_train_model(payload): pass\ndef fl_train(model, env, out_dir): pass\n", None, "A"),
        (
            "def fl_train_model(payload): pass\ndef fl_train(model, env, out_dir): pass\n",
            "fl_train",
            "B",
        ),
        ("def fl_train(model, env, out_dir): pass\n", None, "B"),
        ("def mine(payload, out_dir): pass\n", "mine", "A"),
        ("def mine(model, env, out_dir): pass\n", "mine", "B"),
        ("", None, "C"),
        ("from fedjob_runtime.training.generated import fl_train\n", "fl_train", "C"),
    ],
)
def test_which_form_a_module_has(
    module_of: Callable[[str], ModuleType], text: str, name: str | None, form: str
) -> None:
    assert find_train_function(module_of(text), name).form == Form(form)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("", "mine", "no function mine"),
        ("mine = 3\n", "mine", "a int, not a function"),
        ("", "Net", "not a function"),
        ("def fl_train_model(data): pass\n", None, "cannot be called with payload"),
        ("def fl_train_model(payload, other): pass\n", None, "give other parameters a default"),
        ("def fl_train_model(payload, /): pass\n", None, "cannot be called"),
        ("def fl_train_model(): pass\n", None, "write it as"),
        ("def fl_train(payload): pass\n", None, "model, env, out_dir"),
        ("def fl_train(model, env, out_dir, logger, more): pass\n", None, "write it as fl_train"),
        ("async def fl_train_model(payload): pass\n", None, "async"),
        ("def fl_train_model(payload): yield 1\n", None, "generator"),
    ],
)
def test_a_function_that_fits_no_form_is_refused_before_it_runs(
    module_of: Callable[[str], ModuleType], text: str, name: str | None, expected: str
) -> None:
    with pytest.raises(TrainFunctionInvalidError) as caught:
        find_train_function(module_of(text), name)
    assert expected in str(caught.value)
