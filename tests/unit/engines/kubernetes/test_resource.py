"""A FederatedJob as the API server returns it."""

import pytest

from fedjob.engines.kubernetes.resource import NewerOperatorError, parse


def body(generation=2, observed=2, state="Training", **spec):
    return {
        "metadata": {"name": "digits", "namespace": "team", "generation": generation,
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec, "status": {"state": state, "observedGeneration": observed, "newer": 1},
    }  # fmt: skip


def test_fields_of_a_newer_cluster_do_no_harm():
    job = parse(body(somethingNew=True))
    assert (job.name, job.namespace, job.created) == ("digits", "team", 1767225600.0)
    assert job.seen
    assert not job.ended
    assert not job.suspended


def test_end_counts_for_the_spec_as_it_is():
    assert parse(body(state="Complete")).ended
    assert not parse(body(observed=1, state="Complete")).ended


def test_job_without_status_is_not_seen():
    job = parse({"metadata": {"name": "a", "generation": 1}})
    assert not job.seen
    assert job.status.state is None


def test_state_that_is_not_known_says_to_update():
    with pytest.raises(NewerOperatorError, match="pip install -U fedjob"):
        parse(body(state="Levitating"))
