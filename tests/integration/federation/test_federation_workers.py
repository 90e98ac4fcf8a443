"""What workers get wrong: named, left out of the mean, and no harm to the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.server_status import ServerStatus
from fedjob.reasons import Reason
from support.federation import AGENT, Federation

pytestmark = pytest.mark.federation

# worker-1 does in each round what CASES says; worker-0 is well-behaved.
MISBEHAVING = """
import os, time
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


def fl_train_model(payload, out_dir):
    env = payload["env"]
    model = Net()
    model.set_weights(payload["initial_weights"])
    with torch.no_grad():
        model.fc.weight += 1
    answer = {"weights": model.state_dict(), "samples": 5}
    case = env["cases"][env["CURRENT_ROUND"]] if env["SITE_NAME"] == "worker-1" else "good"
    if case == "nan":
        answer["weights"]["fc.bias"][1] = float("nan")
    elif case == "empty":
        answer["weights"] = {}
    elif case == "nothing":
        del answer["weights"]
    elif case == "shape":
        answer["weights"]["fc.weight"] = torch.zeros(2, 4)
    elif case == "missing":
        del answer["weights"]["fc.bias"]
    elif case == "zero":
        answer["samples"] = 0
    elif case == "negative":
        answer["samples"] = -1
    elif case == "raises":
        raise KeyError("age")
    elif case == "memory":
        raise MemoryError
    elif case == "hangs":
        time.sleep(600)
    elif case == "exits":
        os._exit(3)
    return answer
"""

CASES = {
    "nan": (Reason.NON_FINITE_WEIGHTS, "fc.bias"),
    "empty": (Reason.EMPTY_WEIGHTS, "weights are empty"),
    "nothing": (Reason.MISSING_WEIGHTS, "weights"),
    "shape": (Reason.SHAPE_MISMATCH, "fc.weight"),
    "missing": (Reason.MISSING_TENSOR, "fc.bias"),
    "zero": (Reason.INVALID_SAMPLES, "0"),
    "negative": (Reason.INVALID_SAMPLES, "-1"),
    "raises": (Reason.TRAINING_FAILED, "model_def.py"),
    "memory": (Reason.OUT_OF_MEMORY, "reduce batch_size"),
}


def test_every_wrong_answer_is_named_and_left_out_while_the_others_go_on(
    federation: Callable[..., Federation],
) -> None:
    cases = [*CASES, "good"]
    fed = federation(
        MISBEHAVING,
        [5, 5],
        federation={"num_rounds": len(cases), "min_clients": 1, "wait_time_after_min_received": 60},
        extra={"cases": cases},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    commits = fed.commits()
    assert [commit.round for commit in commits] == list(range(1, len(cases) + 1))
    for commit, case in zip(commits, cases, strict=True):
        if case == "good":
            assert [p.name for p in commit.participants] == ["worker-0", "worker-1"] or len(
                commit.participants
            ) == 2
            assert commit.failures == []
            continue
        reason, fragment = CASES[case]
        assert [p.name for p in commit.participants] == ["worker-0"], case
        assert [f.name for f in commit.failures] == ["worker-1"], case
        failure = commit.failures[0]
        assert failure.reason == reason, (case, failure)
        assert "worker-1" in failure.message, case
        assert fragment in failure.message, (case, failure.message)
    first, last = fed.model(0), fed.model(len(cases))
    # Nothing of a refused answer is in the mean: every round added exactly 1.
    assert (last["fc.weight"] - first["fc.weight"] - len(cases)).abs().max() < 1e-4
    status = fed.last_status()
    assert status.segments == 1, "a wrong answer must not cost a new segment"
    warned = {event.reason for event in status.events if event.type == "Warning"}
    assert {reason for reason, _ in CASES.values()} <= warned


def test_a_worker_that_hangs_or_exits_is_given_a_fresh_process(
    federation: Callable[..., Federation],
) -> None:
    cases = ["good", "hangs", "good", "exits", "good"]
    fed = federation(
        MISBEHAVING,
        [5, 5],
        federation={
            "num_rounds": len(cases),
            "min_clients": 1,
            "wait_time_after_min_received": 300,
            "round_timeout": 8,
        },
        extra={"cases": cases},
    )
    fed.start()
    assert fed.wait_end(300) == 0, fed.logs()
    commits = fed.commits()
    assert fed.log.commits() == list(range(len(cases) + 1))
    hung = next(c for c in commits if c.round == 2)
    assert [(f.name, f.reason) for f in hung.failures] == [("worker-1", "TrainingTimeout")]
    assert "roundTimeout (8 s)" in hung.failures[0].message
    # After its fresh process, the worker that hung takes part again.
    assert len(next(c for c in commits if c.round == 3).participants) == 2
    exited = next(c for c in commits if c.round == 4)
    assert [p.name for p in exited.participants] == ["worker-0"]
    assert fed.last_status().retries.get("job-process", 0) >= 1


@pytest.mark.parametrize(
    ("case", "reason", "fragment"),
    [
        ("nan", Reason.NON_FINITE_WEIGHTS, "fc.bias"),
        ("raises", Reason.TRAINING_FAILED, "KeyError: 'age'"),
    ],
)
def test_below_min_clients_the_run_fails_with_the_workers_words(
    federation: Callable[..., Federation], case: str, reason: Reason, fragment: str
) -> None:
    """Rows 13, 30: a fault of the user's code is not retried blindly."""
    fed = federation(
        MISBEHAVING,
        [5, 5],
        federation={"num_rounds": 3, "min_clients": 2, "wait_time_after_min_received": 1},
        extra={"cases": ["good", case, "good"]},
    )
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert (status.phase, status.reason) == ("Failed", reason)
    assert "round 2 cannot reach minClients 2" in status.message
    assert "worker-1" in status.message
    assert fragment in status.message
    assert status.completed == 1
    assert fed.log.commits() == [0, 1]


BROKEN = "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        1 / 0\n"


def test_a_model_that_cannot_be_built_fails_the_run_with_its_line(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(BROKEN, [2], federation={"num_rounds": 1}, train_fn="fl_train_model")
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert status.reason == Reason.MODEL_INVALID
    assert "ZeroDivisionError" in status.message
    assert "model_def.py line 6" in status.message


def test_row_14_the_slow_are_waited_for_just_so_long(
    federation: Callable[..., Federation],
) -> None:
    """min_clients answer, then wait_time_after_min_received, then aggregate."""
    slow = MISBEHAVING.replace("time.sleep(600)", "time.sleep(9)")
    fed = federation(
        slow,
        [5, 5],
        federation={"num_rounds": 2, "min_clients": 1, "wait_time_after_min_received": 2},
        extra={"cases": ["hangs", "good"]},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    commits = fed.commits()
    assert [p.name for p in commits[0].participants] == ["worker-0"]
    assert commits[0].failures == [], "a late answer does not count as a failure"
    assert commits[0].times.train >= 2
    assert commits[0].times.train < 9


# Every unpickling in any process of the federation leaves a line.
WATCH_PICKLE = """
import os, pickle, sys


def noted(function):
    def watched(*args, **kwargs):
        frame = sys._getframe(1)
        with open(os.environ["FEDJOB_TEST_FEDERATION"] + "/unpickled", "a") as file:
            file.write(f"{sys.argv} {frame.f_code.co_filename}:{frame.f_lineno}\\n")
        return function(*args, **kwargs)
    return watched


with open(os.environ["FEDJOB_TEST_FEDERATION"] + "/watched", "a") as file:
    file.write(f"{os.getpid()}\\n")
pickle.loads = noted(pickle.loads)
pickle.load = noted(pickle.load)
"""


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, store: EmbeddedStore
) -> Iterator[tuple[Federation, ServerStatus]]:
    """A federation amid its rounds, for tests that only look; its status after the second."""
    fed = Federation(
        tmp_path_factory.mktemp("running"),
        store,
        MISBEHAVING,
        [5, 5],
        federation={"num_rounds": 1000, "min_clients": 2},
        extra={"cases": ["good"] * 1000},
        sitecustomize=WATCH_PICKLE,
    )
    try:
        fed.start()
        yield fed, fed.until(lambda s: s.completed >= 2)
    finally:
        fed.close()


@pytest.mark.xdist_group("running")
def test_user_code_stays_in_the_job_processes_and_nothing_is_unpickled(
    running: tuple[Federation, ServerStatus],
) -> None:
    """Torch, which model files need, is in no parent; the store's keys are in no environment."""
    fed, _ = running
    parents = [
        fed.processes["server"].pid,
        fed.processes[AGENT].pid,
        fed.pid_of("server", "server_train"),
        fed.processes["worker-0"].pid,
        fed.pid_of("worker-0", "client_train"),
    ]
    jobs = [fed.pid_of("server", "job_process.main"), fed.pid_of("worker-0", "worker_process")]
    for pid in parents:
        assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text(), pid
    for pid in jobs:
        assert "libtorch" in Path(f"/proc/{pid}/maps").read_text(), pid
    with_keys = [
        pid
        for pid in fed.orphans()
        if b"AWS_SECRET_ACCESS_KEY=" in Path(f"/proc/{pid}/environ").read_bytes()
    ]
    assert with_keys == []
    assert fed.store.credentials.secret_key.encode() not in b"".join(
        Path(f"/proc/{pid}/cmdline").read_bytes() for pid in fed.orphans()
    )
    watched = (fed.folder / "watched").read_text().split()
    # A job process is forked from one that has run it.
    forges = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1] for pid in jobs]
    assert {*forges, *map(str, parents)} <= set(watched)
    for pid in forges:
        assert Path(f"/proc/{pid}/cmdline").read_text().startswith("fedjob-fork-server"), pid
    unpickled = fed.folder / "unpickled"
    assert not unpickled.exists(), unpickled.read_text()


@pytest.mark.xdist_group("running")
def test_what_the_server_shows_while_it_runs(running: tuple[Federation, ServerStatus]) -> None:
    fed, status = running
    assert fed.get("/healthz") == "ok\n"
    metrics = fed.get("/metrics")
    assert 'fedjob_phase{phase="Training"} 1.0' in metrics
    assert "fedjob_rounds_total 1000.0" in metrics
    assert 'fedjob_round_seconds{part="train"}' in metrics
    # Long-poll: the answer comes with a later sequence, not before.
    later = fed.status(since=status.sequence, wait=20)
    assert later.sequence > status.sequence
    clients = {client.name: client for client in later.clients}
    assert clients["worker-0"].shard == "shard-0.zip"
    assert clients["worker-0"].last_heartbeat is not None
    raw = json.loads(fed.get("/status"))
    assert {"sequence", "phase", "completed", "total", "clients", "history"} <= raw.keys()
