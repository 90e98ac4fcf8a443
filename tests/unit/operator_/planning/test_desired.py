"""The wanted objects, the configurations of pods, and drift."""

from __future__ import annotations

import json
from dataclasses import replace

from fedjob_operator.planning.desired import fixed_children
from fedjob_operator.resources.pods import server_pod
from support.operator.runs import (
    names,
)
from support.operator.samples import (
    DEFAULTS,
    IMAGE,
    NOW,
    a_job,
    a_start,
    observed_of,
    plan_for,
    prepared_of,
)


def test_policies_and_store_secret_are_optional() -> None:
    job = a_job(storage={"secretRef": {"name": "mine"}})
    observed = observed_of(job, defaults=replace(DEFAULTS, policies=False))
    created = names(plan_for(job, observed, NOW).create)
    assert "digits-store" not in created
    assert "digits-worker" not in created


def test_images_of_the_operators_registry_are_pulled_with_its_login() -> None:
    job, prepared = a_job(), prepared_of(a_job())
    login = json.dumps({"auths": {"registry:5000": {"auth": "Zjpw"}}})
    defaults = replace(DEFAULTS, pull_login=login)
    names = {
        body["metadata"]["name"]
        for body in fixed_children(job, prepared, defaults, gpus=False)
        if body["kind"] == "Secret"
    }
    assert names == {"digits-store", "digits-pull"}
    pod = server_pod(job, a_start(image=IMAGE), defaults)
    assert pod["spec"]["imagePullSecrets"] == [{"name": "digits-pull"}]
    assert "digits-pull" not in str(pod["spec"]["containers"] + pod["spec"]["volumes"])
    other = server_pod(job, a_start(image="elsewhere.test/i@sha256:1"), defaults)
    assert "imagePullSecrets" not in other["spec"]
