"""Names, labels and owners of every object of a job."""

from __future__ import annotations

import pytest

from fedjob_operator.naming import DIGEST, Body, annotation, digest_of, owner_uid, pod_name, sealed
from fedjob_operator.resources.pods import worker_pod
from support.operator.samples import (
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


@pytest.mark.parametrize(
    ("references", "uid"),
    [
        (None, None),
        ([], None),
        ([{"kind": "FederatedJob", "uid": "a"}], None),
        ([{"kind": "ReplicaSet", "uid": "a", "controller": True}], None),
        (
            [
                {"kind": "ReplicaSet", "uid": "a", "controller": True},
                {"kind": "FederatedJob", "uid": "b", "controller": True},
            ],
            "b",
        ),
    ],
)
def test_owner_is_the_job_that_controls_the_object(
    references: list[Body] | None, uid: str | None
) -> None:
    assert owner_uid({"metadata": {"ownerReferences": references}}) == uid


def test_hash_depends_on_the_value_and_not_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    body = {"kind": "Secret", "metadata": {"name": "x", "annotations": {"mine": "1"}}}
    seal = annotation(sealed(body), DIGEST)
    assert seal == digest_of(body)
    assert annotation(sealed(body), "mine") == "1"
    assert annotation(body, DIGEST) == ""


@pytest.mark.parametrize(
    ("ordinal", "name"),
    [(0, "digits-worker-0"), (1, "digits-worker-0-r1"), (12, "digits-worker-0-r12")],
)
def test_pods_of_a_slot_have_different_names(ordinal: int, name: str) -> None:
    assert pod_name("digits", "worker-0", ordinal) == name
