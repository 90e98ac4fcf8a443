"""The author's files are parsed in a process with limits."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob.errors import InvalidInputError
from fedjob.reasons import Reason
from fedjob.workspace.source.check import check_model
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.source_check import check_source

NET = "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, width=3): ...\n"
TRAIN = (
    NET + "\n\ndef fl_train(model, env, config):\n    import helper\n    return helper.run(model)\n"
)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (NET, {}),
        (TRAIN, {"helper.py": b"def run(model):\n    return {}\n", "data.bin": b"\xff\x00"}),
        (TRAIN, {"helper.py": "# ä\nimport unknown_module\n\n\ndef run(m): ...\n".encode()}),
        (TRAIN, {"helper.py": b"def run(:"}),
        ("class Other: ...", {}),
        ("[" * 500, {}),
        ("", {}),
    ],
    ids=["model", "helper", "notes", "helper fault", "no class", "nested", "empty"],
)
def test_result_is_that_of_the_same_check_in_this_process(
    text: str, files: dict[str, bytes]
) -> None:
    options: dict[str, Any] = {"class_name": "Net", "train_function": None, "requirements": []}
    expected: object
    found: object
    try:
        expected = check_model(text, files, **options)
    except InvalidInputError as error:
        expected = (error.reason, str(error))
    try:
        found = check_source(text, files, **options)
    except InputError as error:
        found = (error.reason, str(error))
    assert found == expected


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"memory_bytes": 80 << 20}, "need more than 80 MiB|cannot be read as Python"),
        ({"cpu_seconds": 1, "memory_bytes": 2 << 30}, "take more than 1 s to be parsed"),
    ],
    ids=["memory", "time"],
)
def test_file_that_takes_too_much_is_refused(limits: dict[str, int], problem: str) -> None:
    """A megabyte took 800 MiB and minutes of the operator's CPU."""
    with pytest.raises(InputError, match=problem) as caught:
        check_source(
            "a=[],\n" * (1 << 17),
            {},
            class_name="Net",
            train_function=None,
            requirements=[],
            **limits,  # type: ignore[arg-type]
        )
    assert caught.value.reason is Reason.SOURCE_INVALID
