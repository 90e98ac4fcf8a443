"""Whatever is killed, rounds 1..N are committed once each (CONTRACT rows 13, 15, 29)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from support.federation import AGENT, Federation

pytestmark = pytest.mark.federation

SLOW = """
import json, os, time
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


def fl_train_model(payload, out_dir):
    model = Net()
    model.set_weights(payload["initial_weights"])
    root = payload["dataset"]["data_root"]
    with open(f"{root}/../begun.ndjson", "a") as file:
        file.write(json.dumps({"round": payload["env"]["CURRENT_ROUND"]}) + "\\n")
    time.sleep(1.5)
    with torch.no_grad():
        model.fc.weight += 1
    with open(f"{root}/../calls.ndjson", "a") as file:
        file.write(json.dumps({"round": payload["env"]["CURRENT_ROUND"]}) + "\\n")
    return {"weights": model.state_dict(), "samples": 2}
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """A store that a test may kill, in place of the session's."""
    with EmbeddedStore(tmp_path / "store", tmp_path / "store.log") as own:
        yield own


def test_rounds_survive_every_kill_in_the_middle_of_a_round(
    federation: Callable[..., Federation], store: EmbeddedStore
) -> None:
    """SIGKILL of a worker, a job process, NVFlare's parent, supervisor, agent, S3, one a round."""
    rounds = 8
    fed = federation(
        SLOW,
        [2, 2, 2],
        federation={"num_rounds": rounds, "min_clients": 2, "wait_time_after_min_received": 20},
        shared=False,
    )
    attempts = {1}
    with fed.kept_restarting():
        fed.start()
        fed.until(lambda s: s.completed >= 1 and s.current == 2, what="round 2 under way")
        os.kill(fed.pid_of("worker-1", "worker_process"), signal.SIGKILL)  # its job process
        fed.until(lambda s: s.completed >= 2 and s.current == 3, what="round 3 under way")
        for pid, _ in fed.descendants("worker-2"):
            os.kill(pid, signal.SIGKILL)
        fed.processes["worker-2"].kill()
        fed.until(lambda s: s.completed >= 3 and s.current == 4, what="round 4 under way")
        os.kill(fed.pid_of("server", "server_train"), signal.SIGKILL)  # NVFlare's parent
        fed.until(lambda s: s.completed >= 4 and s.current == 5, what="round 5 under way")
        fed.processes["server"].kill()  # the supervisor
        status = fed.until(
            lambda s: s.attempt == 2 and s.completed >= 5 and s.current == 6, what="attempt 2"
        )
        attempts.add(status.attempt)
        fed.processes[AGENT].kill()  # with it NVFlare's parent and its job process
        fed.until(lambda s: s.completed >= 6 and s.current == 7, what="round 7 under way")
        assert store.pid is not None
        os.kill(store.pid, signal.SIGKILL)
        while not store.ensure_running():
            time.sleep(0.1)
        fed.until(lambda s: s.completed == rounds, what="the end")
        assert fed.wait_end() == 0, fed.logs()

    assert fed.log.commits() == list(range(rounds + 1))
    commits = fed.commits()
    assert [commit.round for commit in commits] == list(range(1, rounds + 1))
    assert {commit.attempt for commit in commits} == attempts
    # Every round added exactly 1 to every weight: none was lost, none applied twice.
    first, last = fed.model(0), fed.model(rounds)
    assert (last["fc.weight"] - first["fc.weight"]).sub(rounds).abs().max() < 1e-5
    status = fed.last_status()
    assert status.phase == "Complete"
    for worker in fed.workers:
        done = Counter(
            json.loads(line)["round"]
            for line in (fed.home(worker) / "calls.ndjson").read_text().splitlines()
        )
        # Row 8: a training that finished is never run again, even when its round is.
        assert max(done.values()) == 1, (worker, done)


def test_sigterm_drains_and_the_next_start_goes_on(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(SLOW, [2, 2], federation={"num_rounds": 4, "min_clients": 2})
    fed.start()
    fed.until(lambda s: s.completed >= 1 and s.current == 2)
    fed.processes["server"].terminate()
    assert fed.wait_end(30) == 143
    done = fed.log.commits()
    assert done == list(range(len(done)))
    assert 2 <= len(done) <= 3
    fed.wait_idle("server")
    fed.start("server")
    assert fed.wait_end() == 0, fed.logs()
    assert fed.log.commits() == [0, 1, 2, 3, 4]
    assert [commit.attempt for commit in fed.commits()][-1] == 2


def test_sigterm_after_the_last_commit_still_publishes(
    federation: Callable[..., Federation],
) -> None:
    """A server that has only the model to publish does that: the run is complete."""
    fed = federation(SLOW, [2, 2], federation={"num_rounds": 2, "min_clients": 2})
    fed.start()
    fed.until(lambda s: s.completed >= 1 and s.current == 2)
    while 2 not in fed.log.commits():
        time.sleep(0.01)
    fed.processes["server"].terminate()
    assert fed.wait_end(30) == 0, fed.logs()
    status = fed.last_status()
    assert (status.phase, status.completed) == ("Complete", 2)
    assert status.result_key is not None
    found = fed.bucket.head(status.result_key)
    assert found is not None
    assert found.sha256 == fed.commits()[-1].sha256
    fed.wait_idle("server")


def test_row_15_a_silent_client_is_dropped_and_readmitted(
    federation: Callable[..., Federation],
) -> None:
    """Stopped, not killed: its connection stays open and only its heartbeats are missing."""
    fed = federation(
        SLOW,
        [2, 2],
        federation={
            "num_rounds": 6,
            "min_clients": 1,
            "wait_time_after_min_received": 60,
            "heart_beat_timeout": 6,
        },
    )
    fed.start()
    fed.until(lambda s: s.completed >= 1 and s.current == 2)
    frozen = [pid for pid, _ in fed.descendants("worker-1")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        fed.until(
            lambda s: (
                s.completed >= 2 and {c.name: c.state for c in s.clients}["worker-1"] == "Lost"
            ),
            what="worker-1 dropped",
        )
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    fed.until(
        lambda s: any(len(c.participants) == 2 and c.round > 2 for c in s.history),
        what="worker-1 readmitted",
    )
    assert fed.wait_end() == 0, fed.logs()
    assert fed.log.commits() == list(range(7))
    assert any(len(commit.participants) == 1 for commit in fed.commits())


def test_a_newer_server_fences_this_one(federation: Callable[..., Federation]) -> None:
    """A server thought dead comes to life: it commits nothing more and stops itself."""
    fed = federation(SLOW, [2, 2], federation={"num_rounds": 6, "min_clients": 2})
    fed.start()
    fed.until(lambda s: s.completed >= 1 and s.current == 2)
    assert fed.log.claim_attempt("another server") == 2
    done = fed.log.commits()
    assert fed.wait_end(60) == 1, fed.logs()
    assert fed.last_status().reason == "Fenced"
    assert fed.log.commits() == done


STOPS = """
import time
from pathlib import Path

import torch
from torch import nn

LOSSES = [0.9, 0.5, 0.3, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


def fl_train_model(payload, out_dir):
    model = Net()
    model.set_weights(payload["initial_weights"])
    while payload["env"]["CURRENT_ROUND"] == 3 and not Path(payload["env"]["killed"]).exists():
        time.sleep(0.05)
    with torch.no_grad():
        model.fc.weight += 1
    metrics = {"loss": LOSSES[payload["env"]["CURRENT_ROUND"]]}
    return {"weights": model.state_dict(), "samples": 2, "metrics": metrics}
"""


def test_run_stops_early_though_the_server_is_lost_after_the_best_round(
    federation: Callable[..., Federation], tmp_path: Path
) -> None:
    """The best round is 3, patience ends with round 5, and the server is killed in between."""
    fed = federation(
        STOPS,
        [2, 2],
        federation={
            "num_rounds": 9,
            "min_clients": 2,
            "stop_when": {"metric": "loss", "mode": "min", "patience": 2},
        },
        extra={"killed": str(tmp_path / "killed")},
    )
    with fed.kept_restarting():
        fed.start()
        fed.until(lambda s: s.completed >= 3, what="the best round")
        fed.processes["server"].kill()
        fed.until(lambda s: s.attempt == 2, what="attempt 2")
        (tmp_path / "killed").touch()
        assert fed.wait_end() == 0, fed.logs()
    assert fed.log.commits() == [0, 1, 2, 3, 4, 5]
    commits = fed.commits()
    assert commits[-1].attempt == 2
    last = commits[-1].standing
    assert last is not None
    assert last.best is not None
    assert (last.best.round, last.best.value, last.stopped) == (3, pytest.approx(0.3), 9)
    assert last.best.sha256 == commits[2].sha256 != commits[-1].sha256
    status = fed.last_status()
    assert (status.phase, status.completed) == ("Complete", 5)
    assert status.result_sha256 == commits[-1].sha256
    first, best = fed.model(0), fed.model(3)
    assert (best["fc.weight"] - first["fc.weight"]).sub(3).abs().max() < 1e-5
