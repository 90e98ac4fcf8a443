"""A script of a user, for the type checker; it is never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import fedjob
from fedjob.compat import FederationConfig, ResonTech, ResonTechConfig, RTJob


def make() -> object:
    return object()


job = fedjob.from_model(
    make,
    name="digits",
    training=fedjob.TrainingConfig(local_epochs=3, extra={"momentum": 0.9}),
    federation={"num_rounds": 5},
    files=["losses.py", Path("tokenizer.json")],
    requirements=["torchvision"],
)
assert_type(job, fedjob.FederatedJob)
assert_type(job.to_yaml(), str)
assert_type(job.validate(shards="shards/"), fedjob.JobCheck)
assert_type(job.build("job/", shards="shards/"), Path)

run = fedjob.LocalClient("out").submit(job, shards=Path("shards"))
assert_type(run, fedjob.Run)
assert_type(fedjob.Client(context="prod").submit("job.yaml"), fedjob.Run)
assert_type(fedjob.Client().list(), list[fedjob.Run])
for status in run.follow():
    assert_type(status, fedjob.RunStatus)
    assert_type(status.state, fedjob.JobState)
    assert_type(status.clients, list[fedjob.ClientInfo])
result = run.wait(timeout=3600)
assert_type(result, fedjob.RunResult)
assert_type(result.download("out"), Path)
assert_type(result.rounds[0].metrics, dict[str, float | None])
assert_type(run.logs("worker-0", follow=True), Iterator[str])
assert_type(run.events(), list[fedjob.RunEvent])
assert_type(run.report().path, Path)

try:
    run.wait()
except fedjob.RunFailedError as error:
    assert_type(error.reason, fedjob.Reason)
except fedjob.InvalidJobError as error:
    assert_type(error.faults, tuple[fedjob.Fault, ...])

with ResonTech(ResonTechConfig(base_url="local")) as client:
    old = client.rt_submit(make, "digits", "shards/", federation=FederationConfig(num_rounds=3))
    assert_type(old, RTJob)
    assert_type(old.wait(), fedjob.RunResult)
