"""Names, labels and owners of every object of a job."""

from __future__ import annotations

import pytest

from fedjob_operator.naming import Body
from fedjob_operator.resources.pods import worker_pod
from support.operator_samples import (
    DEFAULTS,
    UID,
    a_job,
    a_start,
    every_child,
)


@pytest.mark.parametrize("body", every_child(a_job()), ids=lambda b: b["metadata"]["name"])
def test_every_child_is_owned_and_labelled(body: Body) -> None:
    """Row 41: it goes with the job."""
    meta = body["metadata"]
    assert meta["namespace"] == "team"
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("FederatedJob", UID, True)
    assert meta["labels"]["fedjob.dev/job"] == "digits"
    assert meta["labels"]["app.kubernetes.io/managed-by"] == "fedjob-operator"


def test_names_fit_at_the_length_limit() -> None:
    job = a_job("j" * 40)
    bodies = every_child(job)
    bodies.append(worker_pod(job, "worker-255", a_start(99), DEFAULTS, gpus=False))
    assert max(len(body["metadata"]["name"]) for body in bodies) <= 63
