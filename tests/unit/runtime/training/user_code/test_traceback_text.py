"""Root causes: chains in this process, and those that DataLoader workers send as text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from fedjob_runtime.training.user_code.traceback_text import Failure, failure_of

HERE = Path(__file__).parent


def lookup() -> object:
    return {"a": 1}["label"]


def meant() -> None:
    try:
        lookup()
    except KeyError as error:
        raise RuntimeError("applying transform") from error


def while_handling() -> None:
    try:
        lookup()
    except KeyError:
        raise ValueError("no label")  # noqa: B904 (without `from` on purpose)


def hidden() -> None:
    try:
        lookup()
    except KeyError:
        raise ValueError("no label") from None


class Rows(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        meant()
        return torch.zeros(1)


def loader() -> None:
    for _ in DataLoader(Rows(), num_workers=1):
        pass


def caught(call: object) -> Failure:
    with pytest.raises(Exception) as info:  # noqa: PT011 (each has its own)
        call()  # type: ignore[operator]
    return failure_of(info.value)


@pytest.mark.parametrize("call", [meant, loader])
def test_the_cause_of_raise_from_is_the_root(call: object) -> None:
    failure = caught(call)
    assert failure.root.kind == "KeyError"
    assert failure.summary == "KeyError: 'label', which led to RuntimeError: applying transform"
    place = failure.place(HERE)
    assert place is not None
    assert (place.file, place.function) == (Path(__file__).name, "lookup")
    assert failure.tail(HERE).endswith("KeyError: 'label'")
    assert 'return {"a": 1}["label"]' in failure.tail(HERE)


def test_an_exception_while_another_was_handled_is_its_own_root() -> None:
    failure = caught(while_handling)
    assert failure.summary == "ValueError: no label, while handling KeyError: 'label'"
    place = failure.place(HERE)
    assert place is not None
    assert place.function == "while_handling"


def test_from_none_hides_the_other() -> None:
    assert caught(hidden).summary == "ValueError: no label"


def test_a_cause_that_was_never_raised_has_the_place_of_what_it_led_to() -> None:
    def call() -> None:
        raise ValueError("wrapped") from MemoryError("full")

    failure = caught(call)
    assert failure.root.kind == "MemoryError"
    place = failure.place(HERE)
    assert place is not None
    assert place.function == "call"


def test_an_exception_whose_text_raises_is_named_by_its_class() -> None:
    class Broken(Exception):  # noqa: N818 (no Error in its name: that is how authors write them)
        def __str__(self) -> str:
            raise ZeroDivisionError

    def call() -> None:
        raise Broken

    assert caught(call).root.kind == "Broken"


def test_a_cycle_of_causes_ends() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert "ValueError: " in failure_of(one).summary


def test_lines_of_other_folders_are_no_place(tmp_path: Path) -> None:
    assert caught(meant).place(tmp_path) is None
