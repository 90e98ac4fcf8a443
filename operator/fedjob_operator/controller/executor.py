"""Carries out what the plan decided, in its order. Nothing is decided here."""

from __future__ import annotations

import time

from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.metrics import POD_STARTS
from fedjob_operator.naming import COMPONENT, SERVER, Body, Key, owner_uid
from fedjob_operator.planning.drift import key_of
from fedjob_operator.planning.plan import HELD_SECONDS
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.cache import Cache


async def carry_out(cluster: Cluster, world: Cache, key: Key, uid: str, actions: Actions) -> None:
    """Deletes, creates, applies, then remembers, and then deletes pods.

    Broken off before the record, the pods that are there tell what has been created. One that is
    deleted does not tell why it has gone: it is no loss when the record has its successor already.

    Raises:
        ApiError: At the first call that is refused; what follows it is done by a later plan.
    """
    pods = [body for body in actions.delete if body["kind"] == "Pod"]
    for body in actions.delete:
        if body["kind"] != "Pod":
            await _delete(cluster, world, body)
    for body in actions.create:
        await _create(cluster, world, key, uid, body)
    for body in actions.apply:
        world.saw_child(body["kind"], await cluster.apply(body))
    if actions.record is not None:
        if key_of(actions.record) in world.observe(key).children:
            answer = await cluster.apply(actions.record)
            world.saw_child("ConfigMap", answer)
        else:
            await _create(cluster, world, key, uid, actions.record)
    for body in pods:
        await _delete(cluster, world, body)


async def _delete(cluster: Cluster, world: Cache, body: Body) -> None:
    left = await cluster.delete(body)
    world.saw_child(body["kind"], left or body, deleted=left is None)


async def _create(cluster: Cluster, world: Cache, key: Key, uid: str, body: Body) -> None:
    try:
        answer = await cluster.create(body)
    except ApiError as error:
        if error.status_reason != "AlreadyExists":
            raise
        meta = body["metadata"]
        found = await cluster.get(body["apiVersion"], body["kind"], meta["namespace"], meta["name"])
        if found is None:
            raise  # gone in between: the next try creates it
        if owner_uid(found) != uid:
            held = {**world.facts(key).held, key_of(body): time.time() + HELD_SECONDS}
            world.learn(key, held=held)
            return
        answer = found
    world.saw_child(body["kind"], answer)
    if body["kind"] == "Pod":
        component = body["metadata"]["labels"][COMPONENT]
        POD_STARTS.labels(component).inc()
        if component == SERVER:
            world.learn(key, stored=None)  # what the log said before this server is no news
