"""The commit object: what it adds up to, and that objects of earlier versions stay readable."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from fedjob.protocol.commit import Commit, Participant, ResultWarning
from fedjob.reasons import Reason

COMMIT = {
    "round": 1,
    "attempt": 1,
    "sha256": "ab",
    "size": 1,
    "started": "2026-01-01T00:00:00Z",
    "ended": "2026-01-01T00:01:00Z",
}


def test_samples_are_those_of_all_participants():
    participants = [{"name": "worker-0", "samples": 3}, {"name": "worker-1", "samples": 4}]
    assert Commit.model_validate({**COMMIT, "participants": participants}).samples == 7
    assert Commit.model_validate(COMMIT).samples == 0


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("WeightsNotLoaded: load them: now", Reason.WEIGHTS_NOT_LOADED, "load them: now"),
        ("metric loss is nan: dropped", Reason.TRAINING_WARNING, "metric loss is nan: dropped"),
        ("Odd: text", Reason.TRAINING_WARNING, "Odd: text"),
        ("WeightsNotLoaded", Reason.TRAINING_WARNING, "WeightsNotLoaded"),
        ("WeightsNotLoaded: ", Reason.TRAINING_WARNING, "WeightsNotLoaded: "),
        ("", Reason.TRAINING_WARNING, ""),
    ],
)
def test_warnings_written_as_text_are_read(text, reason, message):
    """Commits of earlier versions hold a warning as text, and workers send it so."""
    participant = Participant.model_validate({"name": "worker-0", "samples": 1, "warnings": [text]})
    assert participant.warnings == [ResultWarning(reason=reason, message=message)]


def test_a_warning_is_written_with_its_own_reason_and_read_back():
    worker = {"name": "worker-0", "samples": 1, "warnings": ["WeightsNotLoaded: load them"]}
    commit = Commit.model_validate({**COMMIT, "participants": [worker]})
    written = commit.model_dump_json(by_alias=True)
    assert json.loads(written)["participants"][0]["warnings"] == [
        {"reason": "WeightsNotLoaded", "message": "load them"}
    ]
    assert Commit.model_validate_json(written) == commit


def test_a_reason_of_a_later_version_is_kept():
    warning = ResultWarning.model_validate({"reason": "OfTomorrow", "message": "x"})
    assert warning.reason == "OfTomorrow"


@pytest.mark.parametrize("given", [5, None, {"reason": "X"}, {"reason": "X", "text": "y"}])
def test_anything_else_is_not_a_warning(given):
    with pytest.raises(ValidationError):
        ResultWarning.model_validate(given)


def test_null_metrics_of_earlier_versions_are_left_out():
    participant = {"name": "worker-0", "samples": 1, "metrics": {"loss": None, "acc": 0.5}}
    given = {**COMMIT, "metrics": {"loss": None, "val_acc": 1}, "participants": [participant]}
    commit = Commit.model_validate_json(json.dumps(given))
    assert commit.metrics == {"val_acc": 1.0}
    assert commit.participants[0].metrics == {"acc": 0.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_metric_that_json_cannot_hold_is_refused(value):
    with pytest.raises(ValidationError, match="finite"):
        Commit.model_validate({**COMMIT, "metrics": {"loss": value}})
