"""Configurations of pods: their hashes are stable, and a change is named."""

from __future__ import annotations

from typing import Any

from fedjob_operator.naming import digest_of
from fedjob_operator.planning.desired import server_pod_config, worker_pod_config
from fedjob_operator.resources.pod_config import PodConfig
from fedjob_operator.state.pod_status import PodView
from support.operator.samples import a_job, prepared_of

CONFIG = PodConfig({"its shard": {"key": "s0.zip"}, "spec.workers": {"cpu": 1}, "kits": "set-1"})


def pod(of: PodConfig, **more: Any) -> PodView:
    fields: dict[str, Any] = {"config": of.digest, "config_parts": of.part_digests}
    return PodView(name="p", uid="u", ordinal=0, **{**fields, **more})


def test_pod_with_the_same_configuration_has_not_changed() -> None:
    assert CONFIG.changed(pod(CONFIG)) == (False, "")


def test_changed_parts_are_named() -> None:
    other = PodConfig({**CONFIG.parts, "spec.workers": {"cpu": 2}})
    assert CONFIG.changed(pod(other)) == (True, "spec.workers changed")
    other = PodConfig({"its shard": 1, "spec.workers": 2, "kits": "set-1"})
    assert CONFIG.changed(pod(other)) == (True, "its shard and spec.workers changed")


def test_pod_of_an_operator_without_parts_is_replaced_without_details() -> None:
    old = pod(CONFIG, config="another hash", config_parts={})
    assert CONFIG.changed(old) == (True, "its configuration changed")
    odd = pod(CONFIG, config="another hash")
    assert CONFIG.changed(odd) == (True, "its configuration changed")


def test_hashes_of_running_pods_survive_an_upgrade_of_the_operator() -> None:
    """Another hash of an unchanged job would replace every pod once the operator is upgraded."""
    job = a_job()
    prepared = prepared_of(job)
    server = [
        prepared.made_from,
        prepared.num_classes,
        "set-1",
        job.spec.server.model_dump(mode="json"),
    ]
    assert server_pod_config(job, prepared, "set-1").digest == digest_of(server)
    own = job.spec.workers.model_dump(mode="json", exclude={"max_restarts", "gpu_fallback"})
    assert own.pop("keep_files") is None, "a later field: it counts only where it is set"
    shard = prepared.workers[1].model_dump(mode="json")
    worker = [shard, job.spec.training.manifest_file, "set-1", own, False]
    found = worker_pod_config(job, prepared, 1, "set-1", gpus=False)
    assert found.digest == digest_of(worker)
