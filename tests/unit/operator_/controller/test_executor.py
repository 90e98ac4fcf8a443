"""Plans are carried out in a crash-safe order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fedjob_operator.controller.executor import Executor
from fedjob_operator.naming import COMPONENT, Body
from fedjob_operator.state.actions import Actions


def test_pods_are_created_before_the_record_and_deleted_after_it() -> None:
    calls = []

    class Recorder:
        """In place of the API and of what is observed."""

        children: Mapping[Any, Body] = {}

        async def delete(self, body: Body) -> None:
            calls.append(f"delete {body['metadata']['name']}")

        async def create(self, body: Body) -> Body:
            calls.append(f"create {body['metadata']['name']}")
            return body

        def observe(self, key: object) -> Recorder:
            return self

        def saw_child(self, kind: str, body: Body, *, deleted: bool = False) -> None:
            """Nothing to keep."""

    def named(kind: str, name: str) -> Body:
        meta = {"name": name, "namespace": "default", "labels": {COMPONENT: "worker"}}
        return {"kind": kind, "metadata": meta}

    both: Any = Recorder()
    actions = Actions(
        delete=(named("Pod", "old"), named("Secret", "unwanted")),
        create=(named("Pod", "new"),),
        record=named("ConfigMap", "record"),
    )
    asyncio.run(Executor(both, both).carry_out(("default", "digits"), "uid", actions))
    assert calls == ["delete unwanted", "create new", "create record", "delete old"]
