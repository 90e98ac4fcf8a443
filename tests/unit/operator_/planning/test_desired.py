"""The wanted objects, the configurations of pods, and drift."""

from __future__ import annotations

from dataclasses import replace

from support.operator.runs import (
    names,
)
from support.operator.samples import (
    DEFAULTS,
    NOW,
    a_job,
    observed_of,
    plan_for,
)


def test_policies_and_store_secret_are_optional() -> None:
    job = a_job(storage={"secretRef": {"name": "mine"}})
    observed = observed_of(job, defaults=replace(DEFAULTS, policies=False))
    created = names(plan_for(job, observed, NOW).create)
    assert "digits-store" not in created
    assert "digits-worker" not in created
