"""Errors around the user's code: one line that names the worker, the problem and the fix."""

from __future__ import annotations

import pytest

from fedjob.reasons import Reason
from fedjob_runtime.training import errors
from fedjob_runtime.training.errors import (
    InvalidResultError,
    MissingTensorError,
    TrainingError,
    UserCodeError,
    WeightsError,
)


def subclasses(cls: type[TrainingError]) -> list[type[TrainingError]]:
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in subclasses(sub))]


def test_the_text_has_problem_and_fix() -> None:
    assert str(TrainingError("it broke", "mend it")) == "it broke; mend it"


def test_the_text_names_worker_and_line_where_they_are_known() -> None:
    error = TrainingError("it broke", "mend it", worker="worker-1", where="model_def.py line 3")
    assert str(error) == error.brief == "worker-1: it broke (model_def.py line 3); mend it"


def test_the_tensor_is_kept() -> None:
    assert (
        MissingTensorError("fc.bias is missing", "return it", tensor="fc.bias").tensor == "fc.bias"
    )


def test_a_worker_that_is_known_later_gets_into_the_text() -> None:
    error = TrainingError("it broke", "mend it")
    error.worker = "worker-2"
    assert str(error).startswith("worker-2: ")


def test_user_code_error_shows_the_traceback_before_the_fix() -> None:
    error = UserCodeError(
        "fl_train raised KeyError", "use .get", worker="worker-0", where="a.py line 7", tail="T\nU"
    )
    assert str(error) == "worker-0: fl_train raised KeyError (a.py line 7):\nT\nU\nuse .get"
    assert error.brief == "worker-0: fl_train raised KeyError (a.py line 7); use .get"


def test_user_code_error_without_a_traceback_is_one_line() -> None:
    error = UserCodeError(
        "fl_train left", "return", exception_type="SystemExit", file="a.py", line=7
    )
    assert str(error) == "fl_train left; return"
    assert (error.exception_type, error.file, error.line) == ("SystemExit", "a.py", 7)


@pytest.mark.parametrize("cls", subclasses(TrainingError), ids=lambda cls: cls.__name__)
def test_every_error_has_a_reason_of_the_catalogue(cls: type[TrainingError]) -> None:
    assert cls.reason in set(Reason)


def test_reasons_of_results_and_weights_differ() -> None:
    families = [*subclasses(InvalidResultError), *subclasses(WeightsError)]
    here = [cls for cls in families if cls.__module__ == errors.__name__]
    assert len({cls.reason for cls in here}) == len(here)
