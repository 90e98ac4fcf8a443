"""A prepared run: which worker has which shard."""

from __future__ import annotations

from pathlib import Path

from fedjob.preparation.prepared import LocalShard, PreparedRun
from fedjob.spec import FederatedJob

JOB = FederatedJob.model_validate(
    {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": {"className": "Net", "source": {"inline": "class Net: pass"}}},
    }
)


def shard(name: str) -> LocalShard:
    return LocalShard(name, Path(name), 3, "0" * 64)


def run(*shards: LocalShard, validation: LocalShard | None = None) -> PreparedRun:
    return PreparedRun(JOB, 2, shards, validation, None, {})


def test_worker_i_has_the_i_th_shard() -> None:
    first, second = shard("a.zip"), shard("b.zip")
    assert run(first, second).workers == {"worker-0": first, "worker-1": second}


def test_no_worker_has_the_validation_shard() -> None:
    first, kept = shard("a.zip"), shard("val.zip")
    assert list(run(first, validation=kept).workers.values()) == [first]


def test_without_shards_there_are_no_workers() -> None:
    assert run().workers == {}
