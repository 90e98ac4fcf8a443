"""The operator under faults, enumerated: whatever becomes of any of its calls, jobs come out equal.

Issue 5, 2. One job a case: all cases of a step go through it at once, each with a fault at another
call. The state that they should come to is that of a job without a fault.
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

from e2e.api_faults import LEASE, LOSSES, REFUSALS, SILENCE, Fault, Script
from e2e.fault_ground import Ground, KitsOfOneMaking
from e2e.fault_portrait import CHILDREN, Body
from e2e.fault_steps import EXPIRE, PATIENCE, STEPS, Fleet, Step, rob
from e2e.kube import Kube
from e2e.stage import Stage
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
    # An operator that is killed closes nothing; what a process would take with it stays open here.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Golden:
    """What comes of a step without a fault.

    Attributes:
        portrait: Of the job.
        calls: The most that any job's step took.
        signatures: All of the calls.
    """

    portrait: Body
    calls: int
    signatures: frozenset[str]


@pytest.fixture(autouse=True)
def told_in_its_own_test() -> Iterator[None]:
    """What a killed operator's last frames still held is let go before the test is over."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def ground(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("faults")
    stage = Stage(folder)
    with kube.crd_as_it_is(), pytest.MonkeyPatch.context() as patch:
        try:
            with contextlib.suppress(StoreUnreachableError):
                stage.set_up()
            # Its port on the node is there a little after its pod is ready.
            Patience(seconds=120).call(stage.bucket.ensure_bucket)
            made = Ground(stage, folder)
            patch.setenv("KUBECONFIG", str(made.kubeconfig))
            patch.setenv("USER", os.environ.get("USER", "fedjob"))
            patch.setattr(runner, "make_kits", KitsOfOneMaking())
            # Dozens of calls are held at once, where an operator has a few under way.
            patch.setattr(api, "PARALLEL", 512)
            patch.setattr(queue, "FIRST_BACKOFF", 0.1)
            patch.setattr(queue, "LONGEST_BACKOFF", 1.0)
            yield made
        finally:
            stage.tear_down()


async def golden_steps(ground: Ground) -> dict[str, Golden]:
    script = Script()
    fleet = Fleet(ground, script, [f"cg{number:03d}" for number in range(3)])
    life = await ground.live(script)
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
    life.kill()
    return found


@pytest.fixture(scope="module")
def golden(ground: Ground) -> dict[str, Golden]:
    """Every step of a job without a fault."""

    async def run() -> dict[str, Golden]:
        async with ground:
            return await golden_steps(ground)

    return asyncio.run(run())


def differences(step: Step, want: Body, found: list[Body]) -> str:
    """The lines in which portraits differ, for a person to read."""

    def lines(body: Body) -> list[str]:
        return json.dumps(body, indent=1, sort_keys=True).splitlines()

    told = [f"step {step.name}:"]
    for one in found:
        told += difflib.unified_diff(lines(want), lines(one), n=1, lineterm="")
    return "\n".join(told[:120])


def complaint(step: Step, script: Script, want: Body, wrong: dict[str, Body]) -> str:
    """Of the jobs that did not come out equal: the call that met the fault, and the difference."""
    if not wrong:
        return ""
    met = [
        f"{job}: {track.faults} at {track.struck}; {[call.signature for call in track.calls]}"
        for job in wrong
        if (track := script.tracks[job])
    ]
    return "\n".join([*met, differences(step, want, list(wrong.values())[:3])])


def test_the_golden_state_is_what_a_job_should_be(golden: dict[str, Golden]) -> None:
    """What all else is compared with."""
    objects = golden["create"].portrait["objects"]
    names = {kind: [item["name"] for item in items] for kind, items in objects["children"].items()}
    assert names["pods"] == ["JOB-server", "JOB-worker-0"]
    assert (objects["jobs"], objects["owned"], objects["kit sets"]) == (1, True, 1)
    assert objects["status"]["reason"] == "Unschedulable"
    lost = golden["lose a worker"].portrait["objects"]["status"]
    assert lost["clients"]["list"][0]["restarts"] == 1
    suspended = golden["suspend"].portrait["objects"]
    assert (suspended["status"]["state"], suspended["children"]["pods"]) == ("Suspended", [])
    finished = golden["finish"].portrait["objects"]["status"]
    assert (finished["state"], finished["rounds"]["display"]) == ("Complete", "1/1")
    assert golden["expire"].portrait == {}


def test_killed_between_any_two_calls_it_goes_on(
    ground: Ground, golden: dict[str, Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after every call of every step; the next operator finishes what was begun."""
    # A call that is held until the operator is killed must not run out before.
    monkeypatch.setattr(api, "TIMEOUT", 3600.0)
    monkeypatch.setitem(queue.WorkQueue.__init__.__kwdefaults__, "longest", 3600.0)

    async def run() -> None:
        async with ground:
            await killed_at_every_call(ground, golden)

    asyncio.run(run())


def every_call(golden: dict[str, Golden], *steps: str) -> frozenset[str]:
    """What a job's calls are over these steps, else all but the last, which has tests of its own.

    Without those that ask for one object: the periodic look at everything makes them for what it
    just misses, so they come or not as the moment falls.
    """
    names = steps or [step.name for step in STEPS]
    calls = frozenset.union(*(golden[name].signatures for name in names))
    return frozenset(c for c in calls if c == "GET a list" or not c.startswith("GET "))


def beyond_the_last_call(
    fleet: Fleet, cases: Mapping[str, tuple[int, Fault | tuple[Fault, ...]]]
) -> set[str]:
    """The calls that met a fault; the last of the cases has none left to meet."""
    last = max(cases, key=lambda job: cases[job][0])
    assert not fleet.script.tracks[last].struck, f"there are more than {cases[last][0]} calls"
    return {call for job in cases for call in fleet.script.tracks[job].struck}


async def killed_at_every_call(ground: Ground, golden: dict[str, Golden]) -> None:
    script = Script()
    most = max(step.calls for step in golden.values()) + 4
    # After one call is before the next: the cluster is the same.
    faults = {at: Fault.KILLED_AFTER if at else Fault.KILLED_BEFORE for at in range(most + 1)}
    cases = {f"ck{at:03d}": (max(0, at - 1), fault) for at, fault in faults.items()}
    fleet = Fleet(ground, script, list(cases))
    life = await ground.live(script)
    seen: set[str] = set()
    for step in STEPS:
        want = golden[step.name]
        for job, (at, fault) in cases.items():
            script.arm(job, at, fault)
        await fleet.act(step)
        wrong = await fleet.wait(want.portrait, or_struck=True)
        assert not wrong, complaint(step, script, want.portrait, wrong)
        seen |= beyond_the_last_call(fleet, cases)
        life.kill()
        for job in fleet.jobs:
            script.arm(job)
        life = await ground.live(script)
        wrong = await fleet.wait(want.portrait)
        assert not wrong, complaint(step, script, want.portrait, wrong)
    assert seen >= every_call(golden), every_call(golden) - seen


def test_whatever_a_call_meets_it_goes_on(
    ground: Ground, golden: dict[str, Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    """429, 500, no answer, a closed connection and 409 in turn; answers lost, and cut in half."""
    monkeypatch.setattr(api, "TIMEOUT", SILENCE)

    async def run() -> None:
        async with ground:
            script = Script()
            most = max(step.calls for step in golden.values()) + 4
            cases = {f"ce{at:03d}": (at, REFUSALS) for at in range(most)}
            cases |= {f"cl{at:03d}": (at, LOSSES) for at in range(most)}
            fleet = Fleet(ground, script, list(cases))
            seen: dict[str, set[str]] = {"ce": set(), "cl": set()}
            await ground.live(script)
            for step in STEPS:
                want = golden[step.name]
                for job, (at, faults) in cases.items():
                    script.arm(job, at, *faults)
                await fleet.act(step)
                wrong = await fleet.wait(want.portrait)
                assert not wrong, complaint(step, script, want.portrait, wrong)
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


def test_whatever_event_is_lost_it_goes_on(ground: Ground, golden: dict[str, Golden]) -> None:
    """Each kind of event of each kind of object, in every step; the next look finds what is new."""

    async def run() -> None:
        async with ground:
            script = Script()
            fleet = Fleet(ground, script, [f"cw{number:03d}" for number in range(len(EVENTS))])
            life = await ground.live(script)
            for job, (kind, event) in zip(fleet.jobs, EVENTS, strict=True):
                script.deafen(job, kind, event)
            for step in (*STEPS, EXPIRE):
                for job in fleet.jobs:
                    script.arm(job)
                await fleet.act(step)
                want = golden[step.name].portrait
                wrong = await fleet.wait(want)
                assert not wrong, complaint(step, script, want, wrong)
            await until(lambda: life.operator is not None and not life.operator._world.all_keys())
            assert not life.ended
            assert script.tracks[fleet.jobs[-1]].unheard

    asyncio.run(run())


def test_watches_that_break_off_lose_nothing(ground: Ground, golden: dict[str, Golden]) -> None:
    """In every step all of them break off, and what they should go on from is too old."""

    async def run() -> None:
        async with ground:
            script = Script()
            fleet = Fleet(ground, script, [f"cb{number:03d}" for number in range(3)])
            life = await ground.live(script)
            for step in (*STEPS, EXPIRE):
                life.proxy.forgets = True
                life.proxy.drop_watches()
                await fleet.act(step)
                life.proxy.forgets = False
                want = golden[step.name].portrait
                wrong = await fleet.wait(want)
                assert not wrong, complaint(step, script, want, wrong)

    asyncio.run(run())


@pytest.mark.parametrize("fault", [Fault.TOO_MANY, Fault.INTERNAL, Fault.CLOSED, Fault.LOST])
def test_it_starts_whatever_its_first_calls_meet(
    ground: Ground, golden: dict[str, Golden], fault: Fault
) -> None:
    """Discovery, lists: the calls that kopf makes, each once."""

    async def run() -> None:
        async with ground:
            script = Script()
            script.first = fault
            fleet = Fleet(ground, script, ["cs000"])
            await ground.live(script)
            await fleet.act(STEPS[0])
            wrong = await fleet.wait(golden["create"].portrait)
            assert not wrong, complaint(STEPS[0], script, golden["create"].portrait, wrong)

    asyncio.run(run())


def test_an_answer_that_comes_after_the_end_of_its_job_does_not_bring_it_back(
    ground: Ground, golden: dict[str, Golden]
) -> None:
    async def run() -> None:
        async with ground:
            script = Script()
            fleet = Fleet(ground, script, [f"ch{at:03d}" for at in range(golden["suspend"].calls)])
            life = await ground.live(script)
            await fleet.act(STEPS[0])
            assert not await fleet.wait(golden["create"].portrait)
            for at, job in enumerate(fleet.jobs):
                script.arm(job, at, Fault.HELD)
            await fleet.act(next(step for step in STEPS if step.name == "suspend"))
            await fleet.quiet(time.monotonic() + 60)
            struck = {call for job in fleet.jobs for call in script.tracks[job].struck}
            assert struck >= every_call(golden, "suspend"), struck
            await ground.sweep()
            await fleet.quiet(time.monotonic() + 60)
            made = len(script.acts)
            life.proxy.let.set()
            await until(lambda: life.operator is not None and not life.operator._world.all_keys())
            await fleet.quiet(time.monotonic() + 60)
            again = [act.call for act in script.acts[made:] if "POST" in act.call]
            assert not again

    asyncio.run(run())


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the true times."""
    for name, seconds in (
        ("LASTS_SECONDS", 4), ("RENEW_SECONDS", 0.5), ("RETRY_SECONDS", 0.3), ("ACTS_SECONDS", 3.0),
    ):  # fmt: skip
        monkeypatch.setattr(lease, name, seconds)


@pytest.mark.usefixtures("short_lease")
def test_two_operators_never_both_act(ground: Ground, golden: dict[str, Golden]) -> None:
    """The one that acts is frozen until the other does, and thawed with work before it."""

    async def run() -> None:
        async with ground:
            script = Script()
            names = {"LEASE": "true", "LEASE_NAME": "two"}
            lives = [
                await ground.live(script, name, POD_NAME=name, **names) for name in ("one", "two")
            ]
            fleet = Fleet(ground, script, [f"ct{number:03d}" for number in range(3)])
            for step in STEPS[:6]:
                await until(lambda: script.leader != "")
                await fleet.act(step)
                wrong = await fleet.wait(golden[step.name].portrait)
                assert not wrong, complaint(step, script, golden[step.name].portrait, wrong)
                leader = script.leader
                frozen = next(life for life in lives if life.proxy.holder == leader)
                thaw = frozen.freeze()
                await until(lambda leader=leader: script.leader != leader)
                # Work for both of them: the frozen one wakes up to it.
                await asyncio.gather(*(rob(ground, job) for job in fleet.jobs))
                thaw.set()
                await frozen.join()
                assert frozen.code == EXIT_LOST
                lives.remove(frozen)
                name = f"{leader}+"
                lives.append(await ground.live(script, name, POD_NAME=name, **names))
            assert script.acts
            assert [act for act in script.acts if act.holder != act.leader] == []

    asyncio.run(run())


@pytest.mark.usefixtures("short_lease")
@pytest.mark.parametrize("cut_off", [False, True], ids=["killed", "cut off"])
def test_who_is_gone_or_cut_off_is_succeeded(ground: Ground, cut_off: bool) -> None:
    """The API server does not hear of the one that acts: it stops by itself before another acts."""

    async def run() -> None:
        async with ground:
            script = Script()
            names = {"LEASE": "true", "LEASE_NAME": "gone" + str(cut_off).lower()}
            first = await ground.live(script, "one", POD_NAME="one", **names)
            await until(lambda: script.leader == "one")
            await ground.live(script, "two", POD_NAME="two", **names)
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
def test_the_lease_is_had_and_given_back_whatever_its_calls_meet(
    ground: Ground, faults: tuple[Fault, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of acquiring, renewing and giving back; a lease that stays is had when it ends."""
    monkeypatch.setattr(api, "TIMEOUT", 0.5)

    async def one(at: int) -> None:
        script = Script()
        script.arm(LEASE, at, *faults)
        more = {"LEASE": "true", "LEASE_NAME": f"{faults[0].name.lower().replace('_', '-')}-{at}"}
        life = await ground.live(script, "one", POD_NAME="one", **more)
        await until(lambda: len(script.tracks[LEASE].struck) == len(faults) or life.ended)
        if not life.ended and life.operator is not None:
            life.call(life.operator.stop)
        await life.join()
        await ground.live(script, "two", POD_NAME="two", **more)
        await until(lambda: script.leader == "two")

    async def run() -> None:
        async with ground:
            await asyncio.gather(*(one(at) for at in range(8)))

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    """Waits for something that has to come."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 (it is set in other threads)
            await asyncio.sleep(0.05)
