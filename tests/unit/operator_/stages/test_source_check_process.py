"""What the process that parses the author's files answers."""

from __future__ import annotations

from fedjob.reasons import Reason
from fedjob_operator.stages.source_check_process import answer_to


def test_faults_keep_their_reason() -> None:
    request = {
        "text": "x = 1",
        "files": {},
        "class_name": "Net",
        "train_function": None,
        "requirements": [],
    }
    answer = answer_to(request)
    assert answer["reason"] == Reason.SOURCE_INVALID
    assert "has no class Net" in answer["faults"][0]["problem"]
