"""Losses, replacements and backoff of the pods of one slot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob_operator.planning.pod_lifecycle import (
    next_streak,
    plan_slot,
    pod_delay,
    replacement_is_faster,
    stop_slot,
)
from fedjob_operator.resources.pod_config import PodConfig
from fedjob_operator.state.pod_status import PodView
from fedjob_operator.state.record import PodSlot
from support.operator.runs import (
    all_running,
    condition,
    in_kubelet_backoff,
    names,
    settle,
    started,
)
from support.operator.samples import (
    NOW,
    a_job,
    observed_of,
    plan_for,
    record_in,
    remembering,
    respecified,
    running,
    simulate,
    with_pod,
    without,
)

CONFIG = PodConfig({"spec.workers": 2})


def test_deleted_pod_is_replaced_under_the_next_name_and_counted() -> None:
    job = a_job()
    observed = without(all_running(started(job)), "Pod", "digits-worker-1")
    actions = plan_for(job, observed, NOW + 500)
    assert not actions.create  # a crash before the record must not lose the count
    assert [n.reason for n in actions.events] == ["Recovering"]
    counted = simulate(observed, actions)
    assert names(plan_for(job, counted, NOW + 500).create) == ["digits-worker-1-r1"]
    after = settle(job, counted, NOW + 500)
    assert record_in(after).workers["worker-1"].restarts == 1
    shown = {c["name"]: c["restarts"] for c in after.body["status"]["clients"]["list"]}
    assert shown == {"worker-0": 0, "worker-1": 1}


def test_terminating_pod_is_awaited_for_a_bounded_time() -> None:
    job = a_job()
    observed = with_pod(all_running(started(job)), "digits-server", deleting=NOW + 10)
    early = plan_for(job, observed, NOW)
    assert not early.create
    assert early.again is not None
    assert early.again <= 12
    late = plan_for(job, observed, NOW + 13)
    assert not late.delete
    late = plan_for(job, simulate(observed, late), NOW + 13)
    assert names(late.create) == ["digits-server-r1"]
    assert not late.delete


def test_evicted_pod_is_deleted_and_replaced() -> None:
    job = a_job()
    observed = with_pod(
        all_running(started(job)), "digits-worker-0", phase="Failed", reason="Evicted"
    )
    actions = plan_for(job, observed, NOW)
    assert names(actions.delete) == ["digits-worker-0"]
    assert "Evicted" in actions.events[0].message
    actions = plan_for(job, simulate(observed, actions), NOW)
    assert names(actions.create) == ["digits-worker-0-r1"]


def test_pod_in_kubelet_backoff_is_replaced_where_that_is_faster() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 2}, runPolicy={"backoffLimit": 9})
    base = all_running(started(job))
    for name, site in (("digits-server", "server"), ("digits-worker-1", "worker-1")):
        waits = with_pod(base, name, **in_kubelet_backoff("10s"))
        actions = plan_for(job, waits, NOW + 1)
        assert (names(actions.delete), names(actions.create)) == ([name], [])
        assert "the kubelet would restart it later" in actions.events[0].message
        after = settle(job, simulate(waits, actions, NOW + 1), NOW + 1)
        assert ("Pod", f"{name}-r1") in after.children
        record = record_in(after)
        counted = record.server if site == "server" else record.workers[site]
        # The kubelet's restart, and this one, which it would have done later.
        assert (counted.total, counted.causes) == (2, {"Killed": 2})


@pytest.mark.parametrize(
    ("back_off", "streak", "code", "replaced"),
    [
        ("5s", 0, 137, False),
        ("10s", 0, 137, True),
        ("10s", 2, 137, False),  # a replacement would wait for 4 s, and take some more
        ("20s", 3, 137, True),
        ("1m20s", 9, 137, True),
        ("40s", 9, 137, False),
        ("5m0s", 9, 137, True),
        (
            "5m0s",
            0,
            64,
            False,
        ),  # a shard or a kit that is wrong: the pod stays until it is repaired
    ],
)
def test_replacement_only_where_it_is_faster(
    back_off: str, streak: int, code: int, *, replaced: bool
) -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 9})
    base = all_running(started(job))
    record = record_in(base)
    site = record.workers["worker-1"].model_copy(update={"streak": streak})
    record = record.model_copy(update={"workers": {**record.workers, "worker-1": site}})
    observed = remembering(base, job, record)
    waits = with_pod(observed, "digits-worker-1", **in_kubelet_backoff(back_off, code))
    deleted = names(plan_for(job, waits, NOW + 1).delete)
    assert deleted == (["digits-worker-1"] if replaced else [])


def test_repeated_losses_are_backed_off_until_restarts_are_exhausted() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 2}, federation={"minClients": 1})
    observed, now = all_running(started(job)), NOW
    for number in range(1, 4):
        pod = "digits-worker-0" + (f"-r{number - 1}" if number > 1 else "")
        observed = without(observed, "Pod", pod)
        actions = plan_for(job, observed, now)
        assert not actions.create
        if number == 2:
            assert actions.again == pytest.approx(2.0)
            now += 2
        observed = simulate(observed, actions, now)
        actions = plan_for(job, observed, now)
        if number < 3:
            assert names(actions.create) == [f"digits-worker-0-r{number}"]
        observed = simulate(observed, actions, now)
    assert not plan_for(job, observed, now + 1000).create
    status = plan_for(job, observed, now + 1000).status
    assert status is not None
    assert status["clients"]["list"][0]["state"] == "GivenUp"
    assert "maxRestarts is 2" in condition(status, "WorkersReady")["message"]
    more = a_job(workers={"gpu": 0, "maxRestarts": 5}, federation={"minClients": 1})
    assert "digits-worker-0-r3" in names(
        plan_for(more, respecified(observed, more), now + 1000).create
    )


def test_exit_code_of_an_invalid_shard_is_not_counted() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 0}, federation={"minClients": 2})
    end = {"exitCode": 64, "reason": "Error", "message": "shard s1.zip: is not in the store\n"}
    observed = with_pod(
        all_running(started(job)), "digits-worker-1", **running(restarts=4, last=end)
    )
    observed = settle(job, observed)
    assert observed.body["status"]["state"] == "Starting"
    shown = condition(observed.body["status"], "WorkersReady")
    assert shown["reason"] == "DatasetInvalid"
    assert "is not in the store" in shown["message"]
    fixed = with_pod(observed, "digits-worker-1", **running(restarts=4, last=end))
    assert record_in(settle(job, fixed)).workers["worker-1"].total == 0


def test_crash_before_the_record_finds_the_created_pods() -> None:
    """Pods come before the record, so the pods that exist show what was done."""
    job = a_job()
    observed = observed_of(job)
    actions = replace(plan_for(job, observed, NOW), record=None)
    half = without(simulate(observed, actions), "Pod", "digits-worker-1")
    assert names(plan_for(job, half, NOW).create) == ["digits-worker-1"]
    replaced = without(all_running(started(job)), "Pod", "digits-worker-1")
    unremembered = replace(plan_for(job, replaced, NOW), record=None)
    observed = simulate(replaced, unremembered)
    after = settle(job, observed)
    assert ("Pod", "digits-worker-1-r1") in after.children
    assert record_in(after).workers["worker-1"].ordinal == 1


def test_crash_between_record_and_delete_counts_no_restart() -> None:
    observed = settle(a_job(), all_running(started(a_job())))
    changed = a_job(workers={"gpu": 0, "resources": {"requests": {"cpu": "9m"}}})
    observed = respecified(observed, changed)
    actions = plan_for(changed, observed, NOW + 500)
    assert {"digits-worker-0", "digits-worker-1"} <= set(names(actions.delete))
    # The record is written, and the pods are not deleted.
    observed = simulate(observed, replace(actions, delete=()), NOW + 500)
    actions = plan_for(changed, observed, NOW + 500)
    assert {"digits-worker-0", "digits-worker-1"} <= set(names(actions.delete))
    assert not [body for body in actions.create if body["kind"] == "Pod"], "the old ones go first"
    after = record_in(settle(changed, observed, NOW + 500))
    assert {name: (s.ordinal, s.total) for name, s in after.workers.items()} == {
        "worker-0": (1, 0),
        "worker-1": (1, 0),
    }


def test_pod_backoff_grows_to_a_bound() -> None:
    assert [pod_delay(n) for n in (0, 1, 2, 3, 99)] == [0, 0, 2, 4, 60]
    assert next_streak(4, lived=5.0) == 5
    assert next_streak(4, lived=500.0) == 1


def test_pod_beyond_the_record_is_adopted() -> None:
    """An operator ended after it had created the pod and before it wrote the record."""
    pod = PodView(name="p-r3", uid="u", ordinal=3, config=CONFIG.digest, restarts=1, created=NOW)
    planned = plan_slot(PodSlot(ordinal=1, in_place=2), [pod], CONFIG, NOW)
    assert (planned.pod, planned.create, planned.delete) == (pod, None, ())
    assert (planned.slot.ordinal, planned.slot.total, planned.slot.seen) == (3, 3, True)


def test_name_of_a_pod_that_cannot_be_deleted_is_skipped() -> None:
    stuck = PodView(name="p", uid="u", ordinal=0, config="old", deleting=NOW - 60)
    planned = plan_slot(PodSlot(ordinal=0, seen=False), [stuck], CONFIG, NOW)
    assert planned.create == 1
    assert planned.delete == ()


def test_pod_of_another_configuration_is_replaced_and_the_change_is_named() -> None:
    old = PodConfig({"spec.workers": 1})
    pod = PodView(
        name="p", uid="u", ordinal=0, config=old.digest, config_parts=old.part_digests,
        phase="Running",
    )  # fmt: skip
    planned = plan_slot(PodSlot(seen=True, born=NOW), [pod], CONFIG, NOW)
    assert (planned.delete, planned.create, planned.again) == ((pod,), None, 2.0)
    assert planned.changed == "p is replaced: spec.workers changed"
    assert (planned.slot.ordinal, planned.slot.total) == (1, 0)
    ended = replace(pod, phase="Succeeded")
    assert plan_slot(PodSlot(seen=True), [ended], CONFIG, NOW).pod == ended


@pytest.mark.parametrize(
    ("message", "delay", "faster"),
    [
        ("back-off 10s restarting", 2.0, True),
        ("back-off 10s restarting", 2.1, False),
        ("back-off 1m20s restarting", 60.0, True),
        ("back-off 5m restarting", 60.0, True),
        ("no time in it", 0.0, False),
    ],
)
def test_kubelet_backoff_is_compared_with_a_replacement(
    message: str, delay: float, *, faster: bool
) -> None:
    assert replacement_is_faster(message, delay) is faster


def test_cause_of_a_disruption_is_kept_until_the_pod_is_replaced() -> None:
    preempted = PodView(
        name="p", uid="u", ordinal=0, config=CONFIG.digest, deleting=NOW + 9,
        disruption="PreemptionByScheduler",
    )  # fmt: skip
    first = plan_slot(PodSlot(seen=True), [preempted], CONFIG, NOW).slot
    assert first.disruption == "Preempted"
    later = plan_slot(first, [replace(preempted, disruption="")], CONFIG, NOW + 1).slot
    assert later.disruption == "Preempted"
    lost = plan_slot(later, [], CONFIG, NOW + 2).slot
    assert (lost.causes, lost.disruption) == ({"Preempted": 1}, "")
    assert stop_slot(later, []).slot.disruption == ""


@pytest.mark.parametrize(
    ("phase", "again", "create"), [("Running", 2.0, None), ("Failed", None, 1)]
)
def test_new_pod_waits_for_an_older_one_that_runs(
    phase: str, again: float | None, create: int | None
) -> None:
    older = PodView(name="p", uid="u", ordinal=0, config="old", phase=phase)
    planned = plan_slot(PodSlot(ordinal=1), [older], CONFIG, NOW)
    assert (planned.delete, planned.again, planned.create) == ((older,), again, create)
