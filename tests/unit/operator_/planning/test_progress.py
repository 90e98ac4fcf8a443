"""Rounds, metrics, expected end and result in the status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob.protocol.server_status import RunPhase
from support.operator.runs import (
    published,
    ready,
)
from support.operator.samples import (
    NOW,
    a_commit,
    a_status,
    reporting,
)


def test_eta_follows_the_pace_of_the_last_rounds() -> None:
    job, observed = ready()
    status_of_server = reporting(observed, a_status(completed=2))
    assert (
        published(job, status_of_server)["eta"]
        == published(job, status_of_server, NOW + 100)["eta"]
        == "2027-01-15T08:00:15Z"
    )
    for phase, completed in ((RunPhase.WAITING, 2), (RunPhase.TRAINING, 0), (RunPhase.TRAINING, 5)):
        assert "eta" not in published(job, reporting(observed, a_status(phase, completed)))
    undated = a_status(history=[a_commit(1, ended="yesterday")])
    assert "eta" not in published(job, reporting(observed, undated))


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        ({"loss": 1.5, "val_accuracy": 0.93456}, "val_accuracy 0.9346"),
        ({"zeta": 2.0, "beta": 1.0}, "beta 1"),
        ({}, None),
    ],
)
def test_most_informative_metric_is_shown(metrics: dict[str, float], shown: str | None) -> None:
    job, observed = ready()
    status_of_server = a_status(completed=1, history=[a_commit(1, metrics=metrics)])
    assert published(job, reporting(observed, status_of_server)).get("metric") == shown


def test_unknown_fields_keep_their_last_values() -> None:
    job, observed = ready()
    status = published(job, reporting(observed, a_status(retries={"worker": 2})))
    quiet = replace(observed, body={**observed.body, "status": status})
    again = published(job, quiet)
    for name in ("rounds", "history", "metric", "metrics", "retries", "attempt"):
        assert again[name] == status[name], name


def test_server_that_has_not_read_the_log_takes_no_round_back() -> None:
    job, observed = ready()
    status = published(job, reporting(observed, a_status(completed=2)))
    later = replace(observed, body={**observed.body, "status": status})
    started = a_status(completed=0, history=[], attempt=2)
    again = published(job, reporting(later, started))
    assert again["rounds"] == status["rounds"]
    assert again["history"] == status["history"]
    assert again["attempt"] == 2
    further = published(job, reporting(later, a_status(completed=3, attempt=2)))
    assert further["rounds"]["completed"] == 3


def test_result_without_history_has_no_size() -> None:
    job, observed = ready()
    status_of_server = a_status(RunPhase.COMPLETE, 5, history=[], result_key="m")
    status = published(job, reporting(observed, status_of_server))
    assert status["result"] == {"uri": "s3://jobs/m", "sha256": "", "size": 0}


BEST = {
    "round": 2,
    "metric": "val_loss",
    "mode": "min",
    "value": 0.25,
    "sha256": "ab" * 32,
    "size": 7,
}


def test_best_round_is_shown_with_the_object_of_its_model() -> None:
    job, observed = ready()
    history = [a_commit(n) for n in (1, 2)]
    history.append(a_commit(3, standing={"best": BEST, "waited": 1}))
    status = published(job, reporting(observed, a_status(completed=3, history=history)))
    assert status["best"] == {
        "round": 2,
        "metric": "val_loss",
        "value": 0.25,
        "uri": f"s3://jobs/jobs/team/digits/rounds/2/model-{'ab' * 8}.safetensors",
        "sha256": "ab" * 32,
        "size": 7,
    }
    quiet = replace(observed, body={**observed.body, "status": status})
    assert published(job, quiet)["best"] == status["best"]
