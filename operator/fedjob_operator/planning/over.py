"""The plan of a run that has ended: it tells how it ended, and does no more. Pure."""

from __future__ import annotations

from fedjob.protocol.server_status import ServerStatus
from fedjob_operator.planning.completion import End
from fedjob_operator.planning.scene import Scene
from fedjob_operator.planning.settling import Settling, is_failing, log_stage, next_look, settling
from fedjob_operator.planning.situation import Mode
from fedjob_operator.planning.status import build_status
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import Stage
from fedjob_operator.state.record import Failure, Record, Result

LAST_WORDS_SECONDS = 60.0
"""A pod that has not ended this long after a complete run is deleted."""


def over(scene: Scene, record: Record, end: End) -> Actions:
    """A run that has ended: nothing of it goes on, its pods stay to be read until the ttl."""
    late = isinstance(end, Failure) or scene.now >= end.time + LAST_WORDS_SECONDS
    waits: list[float | None] = []
    if late:
        record, server, workers = scene.stopped(record)
    else:
        server, workers = scene.kept(record)
        if any(not pod.ended for pods in scene.pods.values() for pod in pods):
            waits.append(end.time + LAST_WORDS_SECONDS - scene.now)
    unknown = settling(scene, record, end)
    failing = is_failing(unknown, end, scene.now)
    waits.append(next_look(scene, unknown, end))
    ttl = scene.job.spec.run_policy.ttl_seconds_after_finished
    left = None if ttl is None else end.time + ttl - scene.now
    if left is not None and left > 0:
        waits.append(left)
    facts = scene.observed.facts
    said = facts.stored or (facts.server.status if facts.server is not None else None)
    situation = scene.situation(
        Mode.OVER, record, server=server, workers=workers, end=end, said=said, failing=failing
    )
    return Actions(
        scene.pods_to_delete([server, *workers.values()]),
        record=scene.record_body(record),
        status=build_status(situation),
        stages=log_stage(scene) if unknown is Settling.READING else _untold(scene, end, said),
        again=min((wait for wait in waits if wait is not None), default=None),
        delete_job=left is not None and left <= 0 and not failing,
    )


def _untold(scene: Scene, end: End, said: ServerStatus | None) -> frozenset[Stage]:
    """An operator that ended between record and status: the log has the rounds it did not tell."""
    if not isinstance(end, Result) or said is not None:
        return frozenset()
    history = (scene.observed.body.get("status") or {}).get("history") or []
    told = max((int(entry.get("round") or 0) for entry in history), default=0)
    return log_stage(scene) if told < end.round else frozenset()
