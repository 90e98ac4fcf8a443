"""Which stages are due: retries, URLs, kits."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.state.observed import (
    Kits,
    Observations,
    Observed,
    Problem,
    ServerView,
    Stage,
)
from support.operator.runs import (
    all_running,
    condition,
    names,
    settle,
    started,
)
from support.operator.samples import (
    NOW,
    a_job,
    knowing,
    observations_of,
    observed_of,
    plan_for,
    respecified,
    simulate,
    without,
)


def test_failed_stage_waits_unless_the_spec_changed() -> None:
    job = a_job()
    problem = Problem("ShardsMissing", "upload", NOW + 8, made_from=spec_digest(job))
    observed = observed_of(job, Observations(problems={Stage.INPUTS: problem}))
    actions = plan_for(job, observed, NOW)
    assert not actions.stages
    assert actions.again == pytest.approx(8)
    assert condition(actions.status, "Accepted")["reason"] == "ShardsMissing"
    assert plan_for(job, observed, NOW + 8).stages == {Stage.INPUTS}
    other = a_job(federation={"numRounds": 9})
    assert plan_for(other, respecified(observed, other), NOW).stages == {Stage.INPUTS}


def test_urls_are_renewed_before_they_expire_also_by_another_operator() -> None:
    """Row 38: the end is in the Secret's annotation."""
    job = a_job()
    observed = all_running(started(job))
    restarted = replace(observed, observations=Observations())
    first = plan_for(job, restarted, NOW)
    assert not first.stages
    assert first.again == pytest.approx(1800)
    assert plan_for(job, restarted, NOW + 1801).stages == {Stage.URLS}
    fresh = observations_of(job).urls
    later = {name: replace(url, expires=NOW + 5400, url="new") for name, url in fresh.items()}
    renewed = replace(restarted, observations=Observations(urls=later))
    actions = plan_for(job, renewed, NOW + 1801)
    assert names(actions.apply) == ["digits-url-worker-0", "digits-url-worker-1"]
    assert not settle(job, renewed, NOW + 1801).observations.problems


def test_existing_kits_are_not_made_again() -> None:
    job = a_job()
    observed = started(job)
    other = Kits("set-2", observed.observations.kits.files if observed.observations.kits else {})
    assert not plan_for(
        job, replace(observed, observations=observations_of(job, kits=other)), NOW
    ).changes
    lost = without(
        knowing(observed, kits=None),
        "Secret",
        "digits-kit-worker-0",
    )
    assert plan_for(job, lost, NOW).stages == {Stage.KITS}
    made = knowing(lost, kits=other)
    actions = plan_for(job, made, NOW)
    assert "digits-kit-server" in names(actions.apply)
    assert len(names(actions.delete, "Pod")) == 3
    partial = Kits("set-3", {"server": {}})
    assert plan_for(job, knowing(lost, kits=partial), NOW).stages == {Stage.KITS}


def test_forms_for_logs_are_made_before_the_pods_run_out_of_them() -> None:
    """Also where an operator that knew no logs has written the Secret."""
    job = a_job()
    observed = all_running(started(job))
    restarted = replace(observed, observations=Observations())
    assert not plan_for(job, restarted, NOW).stages
    key = ("Secret", "digits-url-worker-1")
    body = copy.deepcopy(observed.children[key])
    body["metadata"]["annotations"].pop("fedjob.dev/last-log")
    older = replace(restarted, children={**observed.children, key: body})
    assert plan_for(job, older, NOW).stages == {Stage.URLS}
    urls = observations_of(job).urls
    signed = replace(older, observations=Observations(urls=urls))
    actions = plan_for(job, signed, NOW)
    assert names(actions.apply) == ["digits-url-worker-1"]
    assert not actions.stages


def test_forms_for_files_are_made_before_the_rounds_run_out_of_them() -> None:
    job = a_job(workers={"gpu": 0, "keepFiles": {"maxBytes": 10}}, federation={"numRounds": 100})
    observed = all_running(started(job))
    assert plan_for(job, observed, NOW).stages == {Stage.URLS}
    urls = {n: replace(u, last_files=64) for n, u in observations_of(job).urls.items()}
    signed = knowing(observed, urls=urls)
    actions = plan_for(job, signed, NOW)
    assert len(names(actions.apply)) == 2
    assert not actions.stages
    with_forms = simulate(signed, actions)
    assert not plan_for(job, with_forms, NOW).stages
    late = knowing(with_forms, server=server_view(with_forms, 40))
    assert plan_for(job, late, NOW).stages == {Stage.URLS}


def server_view(observed: Observed, completed: int) -> ServerView:
    pod = observed.children["Pod", "digits-server"]
    status = ServerStatus(attempt=1, phase=RunPhase.TRAINING, completed=completed, total=100)
    return ServerView(pod["metadata"]["uid"], status)


def test_older_url_does_not_replace_a_newer_one() -> None:
    """An operator that takes over may still hold URLs that another has renewed since."""
    job = a_job()
    observed = all_running(started(job))
    older = {n: replace(u, expires=u.expires - 60) for n, u in observations_of(job).urls.items()}
    assert not plan_for(job, knowing(observed, urls=older), NOW).changes
    newer = {n: replace(u, expires=u.expires + 60) for n, u in observations_of(job).urls.items()}
    assert len(plan_for(job, knowing(observed, urls=newer), NOW).apply) == 2
