"""What a container leaves for its pod's status."""

from __future__ import annotations

import json

import pytest

from fedjob_runtime.termination_message import termination_message


@pytest.mark.parametrize("length", [10, 50_000])
def test_message_fits_what_the_kubelet_keeps(length: int) -> None:
    text = termination_message("Failed", "ModelInvalid", "\u00e4" * length)
    assert len(text.encode()) <= 4096
    read = json.loads(text)
    assert (read["phase"], read["reason"]) == ("Failed", "ModelInvalid")
    assert read["message"]
