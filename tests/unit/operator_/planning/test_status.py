"""The status as a whole, its clients, and resources that cannot be parsed."""

from __future__ import annotations

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.server_status import ClientState, ClientView
from fedjob.spec.models.status import FederatedJobStatus
from fedjob_operator.naming import Body
from fedjob_operator.planning.status import refused_status
from support.operator.runs import (
    condition,
    published,
    ready,
)
from support.operator.samples import (
    NOW,
    a_job,
    a_status,
    observed_of,
    reporting,
)


def test_status_of_a_training_job() -> None:
    job, observed = ready()
    status = published(job, reporting(observed, a_status()))
    assert status["state"] == "Training"
    assert status["rounds"] == {"completed": 2, "total": 5, "display": "2/5"}
    assert status["clients"]["display"] == "2/2"
    assert status["metric"] == "val_accuracy 0.52"
    assert [r["round"] for r in status["history"]] == [1, 2]
    assert status["history"][0]["samples"] == 20
    assert condition(status, "Training")["message"] == "round 3 of 5"
    assert status["image"]["digest"].startswith("sha256:")
    assert status["attempt"] == 1
    for kind in ("Accepted", "WorkspaceUploaded", "ImageReady", "ServerReady", "WorkersReady"):
        assert condition(status, kind)["status"] == "True", kind
        assert condition(status, kind)["observedGeneration"] == 1


def test_heartbeats_are_rounded() -> None:
    job, observed = ready()

    def at(second: float) -> Body:
        view = ClientView(
            name="worker-0", shard="s0.zip", state=ClientState.CONNECTED, last_heartbeat=second
        )
        return published(job, reporting(observed, a_status(clients=[view])))

    assert at(NOW + 1) == at(NOW + 4)
    assert at(NOW + 1) != at(NOW + 6)
    status = at(NOW)
    assert status["clients"]["display"] == "1/2"
    assert condition(status, "WorkersReady")["status"] == "False"


def test_resource_that_cannot_be_parsed_shows_all_faults() -> None:
    job = a_job()
    body = observed_of(job).body
    error = InvalidInputError([Fault("spec.a", "is odd", "drop it"), Fault("spec.b", "too", "so")])
    status = refused_status(body, error, NOW)
    FederatedJobStatus.model_validate(status)
    found = condition(status, "Accepted")
    assert found["reason"] == "SpecInvalid"
    assert "spec.a: is odd; drop it\nspec.b" in found["message"]
    again = refused_status({**body, "status": status}, error, NOW + 50)
    assert again == status
