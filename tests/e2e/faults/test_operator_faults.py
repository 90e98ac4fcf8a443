"""The operator under every fault of every API call: each job ends like one without a fault.

One job per case: all cases of a step run at once, each with a fault at another call. The expected
("golden") state is that of a job that meets no fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import gc
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from e2e.cluster_access.kube import Kube
from e2e.cluster_access.operator_deployment import OperatorDeployment
from e2e.faults.api_faults import LEASE, LOSSES, REFUSALS, SILENCE, Fault, Script
from e2e.faults.fault_testbed import FaultTestbed, ReusedKits
from e2e.faults.job_snapshot import CHILDREN, Body
from e2e.faults.lifecycle_steps import EXPIRE, PATIENCE, STEPS, Fleet, Step, delete_children
from fedjob.backoff import Backoff
from fedjob.storage.errors import StoreUnreachableError
from fedjob.storage.patience import Patience
from fedjob_operator.controller import workqueue as queue
from fedjob_operator.kube import client as api
from fedjob_operator.kube import leader_election as lease
from fedjob_operator.main import EXIT_LOST
from fedjob_operator.stages import runner

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.chaos,
    # A killed operator closes nothing: sockets that a process would take with it stay open here.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Golden:
    """The outcome of a step without a fault.

    Attributes:
        snapshot: The job's snapshot after the step.
        calls: The highest number of calls that the step took for any job.
        signatures: The signatures of all calls.
    """

    snapshot: Body
    calls: int
    signatures: frozenset[str]


@pytest.fixture(autouse=True)
def collect_garbage_after_each_test() -> Iterator[None]:
    """Releases what a killed operator's last frames hold, so that its warnings stay in its test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def testbed(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultTestbed]:
    folder = tmp_path_factory.mktemp("faults")
    deployment = OperatorDeployment(folder)
    with kube.crd_lock(), pytest.MonkeyPatch.context() as patch:
        try:
            with contextlib.suppress(StoreUnreachableError):
                deployment.set_up()
            # The node port works only some time after the pod is ready.
            Patience(seconds=120).call(deployment.bucket.ensure_bucket)
            made = FaultTestbed(deployment, folder)
            patch.setenv("KUBECONFIG", str(made.kubeconfig))
            patch.setenv("USER", os.environ.get("USER", "fedjob"))
            patch.setattr(runner, "make_kits", ReusedKits())
            # Dozens of calls are held at once here; an operator normally has a few in flight.
            patch.setattr(api, "PARALLEL", 512)
            patch.setattr(queue, "BACKOFF", Backoff(first=0.1, longest=1.0))
            yield made
        finally:
            deployment.tear_down()


async def golden_steps(testbed: FaultTestbed) -> dict[str, Golden]:
    script = Script()
    fleet = Fleet(testbed, script, [f"cg{number:03d}" for number in range(3)])
    operator = await testbed.start_operator(script)
    found = {}
    for step in (*STEPS, EXPIRE):
        for job in fleet.jobs:
            script.arm(job)
        await fleet.act(step)
        first, *others = (await fleet.settle(step)).values()
        assert all(other == first for other in others), differences(step, first, others)
        tracks = [script.tracks[job] for job in fleet.jobs]
        signatures = frozenset.union(*(frozenset(track.signatures) for track in tracks))
        most = max(len(track.calls) for track in tracks)
        found[step.name] = Golden(first, most, signatures)
    operator.kill()
    return found


@pytest.fixture(scope="module")
def golden(testbed: FaultTestbed) -> dict[str, Golden]:
    """Every step of a job without a fault."""

    async def run() -> dict[str, Golden]:
        async with testbed:
            return await golden_steps(testbed)

    return asyncio.run(run())


def differences(step: Step, want: Body, found: list[Body]) -> str:
    """A unified diff of the snapshots."""

    def lines(body: Body) -> list[str]:
        return json.dumps(body, indent=1, sort_keys=True).splitlines()

    diff = [f"step {step.name}:"]
    for one in found:
        diff += difflib.unified_diff(lines(want), lines(one), n=1, lineterm="")
    return "\n".join(diff[:120])


def complaint(step: Step, script: Script, want: Body, wrong: dict[str, Body]) -> str:
    """For jobs that do not match: the call that met the fault, and the difference."""
    if not wrong:
        return ""
    met = [
        f"{job}: {track.faults} at {track.struck}; {[call.signature for call in track.calls]}"
        for job in wrong
        if (track := script.tracks[job])
    ]
    return "\n".join([*met, differences(step, want, list(wrong.values())[:3])])


def test_golden_states_are_correct(golden: dict[str, Golden]) -> None:
    """All other tests compare with these."""
    objects = golden["create"].snapshot["objects"]
    names = {kind: [item["name"] for item in items] for kind, items in objects["children"].items()}
    assert names["pods"] == ["JOB-server", "JOB-worker-0"]
    assert (objects["jobs"], objects["owned"], objects["kit sets"]) == (1, True, 1)
    assert objects["status"]["reason"] == "Unschedulable"
    lost = golden["delete worker pod"].snapshot["objects"]["status"]
    assert lost["clients"]["list"][0]["restarts"] == 1
    suspended = golden["suspend"].snapshot["objects"]
    assert (suspended["status"]["state"], suspended["children"]["pods"]) == ("Suspended", [])
    finished = golden["finish"].snapshot["objects"]["status"]
    assert (finished["state"], finished["rounds"]["display"]) == ("Complete", "1/1")
    assert golden["expire"].snapshot == {}


def test_operator_killed_between_any_two_calls_loses_nothing(
    testbed: FaultTestbed, golden: dict[str, Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after every call of every step; the next operator finishes the work."""
    # A call that is held until the operator is killed must not time out before.
    monkeypatch.setattr(api, "TIMEOUT", 3600.0)
    monkeypatch.setitem(queue.WorkQueue.__init__.__kwdefaults__, "longest", 3600.0)

    async def run() -> None:
        async with testbed:
            await killed_at_every_call(testbed, golden)

    asyncio.run(run())


def every_call(golden: dict[str, Golden], *steps: str) -> frozenset[str]:
    """The signatures of a job's calls over these steps; by default over STEPS.

    Excludes reads of single objects: the periodic resync makes them only for objects that it
    happens to miss, so their occurrence depends on timing.
    """
    names = steps or [step.name for step in STEPS]
    calls = frozenset.union(*(golden[name].signatures for name in names))
    return frozenset(c for c in calls if c == "GET a list" or not c.startswith("GET "))


def beyond_the_last_call(
    fleet: Fleet, cases: Mapping[str, tuple[int, Fault | tuple[Fault, ...]]]
) -> set[str]:
    """The calls that met a fault; fails if the last case met one, since more calls may follow."""
    last = max(cases, key=lambda job: cases[job][0])
    assert not fleet.script.tracks[last].struck, f"there are more than {cases[last][0]} calls"
    return {call for job in cases for call in fleet.script.tracks[job].struck}


async def killed_at_every_call(testbed: FaultTestbed, golden: dict[str, Golden]) -> None:
    script = Script()
    most = max(step.calls for step in golden.values()) + 4
    # "After call n" and "before call n + 1" leave the cluster in the same state.
    faults = {at: Fault.KILLED_AFTER if at else Fault.KILLED_BEFORE for at in range(most + 1)}
    cases = {f"ck{at:03d}": (max(0, at - 1), fault) for at, fault in faults.items()}
    fleet = Fleet(testbed, script, list(cases))
    operator = await testbed.start_operator(script)
    seen: set[str] = set()
    for step in STEPS:
        want = golden[step.name]
        for job, (at, fault) in cases.items():
            script.arm(job, at, fault)
        await fleet.act(step)
        wrong = await fleet.wait(want.snapshot, or_struck=True)
        assert not wrong, complaint(step, script, want.snapshot, wrong)
        seen |= beyond_the_last_call(fleet, cases)
        operator.kill()
        for job in fleet.jobs:
            script.arm(job)
        operator = await testbed.start_operator(script)
        wrong = await fleet.wait(want.snapshot)
        assert not wrong, complaint(step, script, want.snapshot, wrong)
    assert seen >= every_call(golden), every_call(golden) - seen


def test_operator_recovers_from_every_failed_call(
    testbed: FaultTestbed, golden: dict[str, Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    """429, 500, no response, closed connection and 409 in turn; responses lost and truncated."""
    monkeypatch.setattr(api, "TIMEOUT", SILENCE)

    async def run() -> None:
        async with testbed:
            script = Script()
            most = max(step.calls for step in golden.values()) + 4
            cases = {f"ce{at:03d}": (at, REFUSALS) for at in range(most)}
            cases |= {f"cl{at:03d}": (at, LOSSES) for at in range(most)}
            fleet = Fleet(testbed, script, list(cases))
            seen: dict[str, set[str]] = {"ce": set(), "cl": set()}
            await testbed.start_operator(script)
            for step in STEPS:
                want = golden[step.name]
                for job, (at, faults) in cases.items():
                    script.arm(job, at, *faults)
                await fleet.act(step)
                wrong = await fleet.wait(want.snapshot)
                assert not wrong, complaint(step, script, want.snapshot, wrong)
                for kind in seen:
                    own = {job: case for job, case in cases.items() if job.startswith(kind)}
                    seen[kind] |= beyond_the_last_call(fleet, own)
            for kind, struck in seen.items():
                assert struck >= every_call(golden), (kind, every_call(golden) - struck)

    asyncio.run(run())


EVENTS = [
    *itertools.product([*CHILDREN, "federatedjobs"], ["ADDED", "MODIFIED", "DELETED"]),
    ("*", "*"),
]


def test_operator_recovers_from_every_lost_event(
    testbed: FaultTestbed, golden: dict[str, Golden]
) -> None:
    """Each event type of each kind, in every step: the periodic resync finds the change."""

    async def run() -> None:
        async with testbed:
            script = Script()
            fleet = Fleet(testbed, script, [f"cw{number:03d}" for number in range(len(EVENTS))])
            operator = await testbed.start_operator(script)
            for job, (kind, event) in zip(fleet.jobs, EVENTS, strict=True):
                script.lose_events(job, kind, event)
            for step in (*STEPS, EXPIRE):
                for job in fleet.jobs:
                    script.arm(job)
                await fleet.act(step)
                want = golden[step.name].snapshot
                wrong = await fleet.wait(want)
                assert not wrong, complaint(step, script, want, wrong)
            await until(
                lambda: operator.operator is not None and not operator.operator._cache.all_keys()
            )
            assert not operator.ended
            assert script.tracks[fleet.jobs[-1]].dropped

    asyncio.run(run())


def test_dropped_watches_lose_nothing(testbed: FaultTestbed, golden: dict[str, Golden]) -> None:
    """In every step all watches are dropped, and their resource version is too old to resume."""

    async def run() -> None:
        async with testbed:
            script = Script()
            fleet = Fleet(testbed, script, [f"cb{number:03d}" for number in range(3)])
            operator = await testbed.start_operator(script)
            for step in (*STEPS, EXPIRE):
                operator.proxy.forgets = True
                operator.proxy.drop_watches()
                await fleet.act(step)
                operator.proxy.forgets = False
                want = golden[step.name].snapshot
                wrong = await fleet.wait(want)
                assert not wrong, complaint(step, script, want, wrong)

    asyncio.run(run())


@pytest.mark.parametrize("fault", [Fault.TOO_MANY, Fault.INTERNAL, Fault.CLOSED, Fault.LOST])
def test_operator_starts_although_its_first_calls_fail(
    testbed: FaultTestbed, golden: dict[str, Golden], fault: Fault
) -> None:
    """Discovery and lists: each call that kopf makes fails once."""

    async def run() -> None:
        async with testbed:
            script = Script()
            script.first = fault
            fleet = Fleet(testbed, script, ["cs000"])
            await testbed.start_operator(script)
            await fleet.act(STEPS[0])
            wrong = await fleet.wait(golden["create"].snapshot)
            assert not wrong, complaint(STEPS[0], script, golden["create"].snapshot, wrong)

    asyncio.run(run())


def test_late_response_does_not_recreate_children_of_a_deleted_job(
    testbed: FaultTestbed, golden: dict[str, Golden]
) -> None:
    async def run() -> None:
        async with testbed:
            script = Script()
            fleet = Fleet(testbed, script, [f"ch{at:03d}" for at in range(golden["suspend"].calls)])
            operator = await testbed.start_operator(script)
            await fleet.act(STEPS[0])
            assert not await fleet.wait(golden["create"].snapshot)
            for at, job in enumerate(fleet.jobs):
                script.arm(job, at, Fault.HELD)
            await fleet.act(next(step for step in STEPS if step.name == "suspend"))
            await fleet.quiet(time.monotonic() + 60)
            struck = {call for job in fleet.jobs for call in script.tracks[job].struck}
            assert struck >= every_call(golden, "suspend"), struck
            await testbed.sweep()
            await fleet.quiet(time.monotonic() + 60)
            before = len(script.mutations)
            operator.proxy.release.set()
            await until(
                lambda: operator.operator is not None and not operator.operator._cache.all_keys()
            )
            await fleet.quiet(time.monotonic() + 60)
            created = [m.call for m in script.mutations[before:] if "POST" in m.call]
            assert not created

    asyncio.run(run())


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lease times of about a tenth of those in production."""
    for name, seconds in (
        ("LASTS_SECONDS", 4), ("RENEW_SECONDS", 0.5), ("RETRY_SECONDS", 0.3), ("ACTS_SECONDS", 3.0),
    ):  # fmt: skip
        monkeypatch.setattr(lease, name, seconds)


@pytest.mark.usefixtures("short_lease")
def test_only_the_lease_holder_acts(testbed: FaultTestbed, golden: dict[str, Golden]) -> None:
    """The holder is frozen until the other takes over, then thawed while there is work."""

    async def run() -> None:
        async with testbed:
            script = Script()
            names = {"LEASE": "true", "LEASE_NAME": "two"}
            operators = [
                await testbed.start_operator(script, name, POD_NAME=name, **names)
                for name in ("one", "two")
            ]
            fleet = Fleet(testbed, script, [f"ct{number:03d}" for number in range(3)])
            for step in STEPS[:6]:
                await until(lambda: script.leader != "")
                await fleet.act(step)
                wrong = await fleet.wait(golden[step.name].snapshot)
                assert not wrong, complaint(step, script, golden[step.name].snapshot, wrong)
                leader = script.leader
                frozen = next(each for each in operators if each.proxy.holder == leader)
                thaw = frozen.freeze()
                await until(lambda leader=leader: script.leader != leader)
                # Work for both: the thawed operator finds it as soon as it runs.
                await asyncio.gather(*(delete_children(testbed, job) for job in fleet.jobs))
                thaw.set()
                await frozen.join()
                assert frozen.code == EXIT_LOST
                operators.remove(frozen)
                name = f"{leader}+"
                operators.append(await testbed.start_operator(script, name, POD_NAME=name, **names))
            assert script.mutations
            assert [m for m in script.mutations if m.holder != m.leader] == []

    asyncio.run(run())


@pytest.mark.usefixtures("short_lease")
@pytest.mark.parametrize("cut_off", [False, True], ids=["killed", "cut off"])
def test_standby_takes_over_from_a_killed_or_disconnected_holder(
    testbed: FaultTestbed, cut_off: bool
) -> None:
    """A holder that cannot reach the API server stops itself before another operator acts."""

    async def run() -> None:
        async with testbed:
            script = Script()
            names = {"LEASE": "true", "LEASE_NAME": "gone" + str(cut_off).lower()}
            first = await testbed.start_operator(script, "one", POD_NAME="one", **names)
            await until(lambda: script.leader == "one")
            await testbed.start_operator(script, "two", POD_NAME="two", **names)
            if cut_off:
                first.proxy.flows.clear()
            else:
                first.kill()
            await until(lambda: script.leader == "two")
            await first.join()
            assert first.code == (EXIT_LOST if cut_off else None)

    asyncio.run(run())


@pytest.mark.usefixtures("short_lease")
@pytest.mark.parametrize("faults", [REFUSALS, LOSSES], ids=["refused", "lost"])
def test_lease_is_acquired_and_released_despite_failed_calls(
    testbed: FaultTestbed, faults: tuple[Fault, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of acquire, renew and release; a Lease that was not released expires."""
    monkeypatch.setattr(api, "TIMEOUT", 0.5)

    async def one(at: int) -> None:
        script = Script()
        script.arm(LEASE, at, *faults)
        more = {"LEASE": "true", "LEASE_NAME": f"{faults[0].name.lower().replace('_', '-')}-{at}"}
        operator = await testbed.start_operator(script, "one", POD_NAME="one", **more)
        await until(lambda: len(script.tracks[LEASE].struck) == len(faults) or operator.ended)
        if not operator.ended and operator.operator is not None:
            operator.call(operator.operator.stop)
        await operator.join()
        await testbed.start_operator(script, "two", POD_NAME="two", **more)
        await until(lambda: script.leader == "two")

    async def run() -> None:
        async with testbed:
            await asyncio.gather(*(one(at) for at in range(8)))

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 (other threads change it)
            await asyncio.sleep(0.05)
