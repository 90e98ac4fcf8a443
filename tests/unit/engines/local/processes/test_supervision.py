"""What is done at each end of a process, with processes that only exist on paper."""

import pytest

from fedjob.engines.local.processes import supervision as module
from fedjob.engines.local.processes.supervision import Limits, Supervision
from fedjob.reasons import Reason
from support.run_samples import Notes


class Child:
    """A process that ends when the test says so."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.code, self.lived, self.starts = None, 1.0, 0

    def start(self):
        self.code = None
        self.starts += 1

    def poll(self):
        return self.code


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def make(tmp_path, clock):
    def run(
        workers=2, min_clients=2, max_restarts=1, backoff_limit=2, failed=False, messages=None,
        agent=False,
    ):  # fmt: skip
        made = Supervision(
            server=Child("server", tmp_path / "server.log"),
            workers=[Child(f"worker-{i}", tmp_path / f"worker-{i}.log") for i in range(workers)],
            limits=Limits(
                min_clients=min_clients, max_restarts=max_restarts, backoff_limit=backoff_limit
            ),
            observer=Notes(),
            reported_failure=lambda: failed,
            failure_of=lambda name: (messages or {}).get(name, ""),
            agent=Child("server-agent", tmp_path / "server.log") if agent else None,
        )
        made.start()
        return made

    return run


def test_while_all_run_nothing_happens(make):
    run = make()
    assert run.tick() is None
    assert [child.starts for child in run.children] == [1, 1, 1]


def test_server_that_ends_with_0_completes_the_run(make):
    run = make()
    run.server.code = 0
    assert run.tick().complete


def test_server_that_reported_its_failure_is_not_restarted(make):
    run = make(failed=True)
    run.server.code = 1
    end = run.tick()
    assert (end.complete, end.message, end.reason) == (False, "", "")


def test_crashed_server_restarts_after_its_backoff(make, clock):
    run = make()
    run.server.code = -9
    assert run.tick() is None
    assert run.server.starts == 1, "it waits"
    clock.now = 0.5
    assert run.tick() is None
    assert run.server.starts == 2
    assert run.restarts == {"server": 1}
    assert "restarting in 0.5 s" in run.observer.lines[0]


def test_committed_round_resets_the_crashes_of_the_server(make, clock):
    run = make(backoff_limit=1)
    for _ in range(3):
        run.server.code = -9
        assert run.tick() is None
        clock.now += 60
        run.tick()
        run.round_committed()
    run.server.code = -9
    run.tick()
    clock.now += 60
    run.tick()
    run.server.code = -9
    end = run.tick()
    assert end.reason == Reason.BACKOFF_LIMIT_EXCEEDED


def test_too_few_workers_end_the_run_with_the_last_lines_of_the_log(make):
    run = make()
    run.workers[1].log.write_text("bad shard\n")
    run.workers[1].code = 64
    end = run.tick()
    assert end.reason == Reason.TOO_FEW_WORKERS
    assert "1 of 2 workers are left and a round needs 2" in end.message
    assert end.message.endswith("bad shard")


def test_failure_that_the_worker_reported_stands_instead_of_its_log(make):
    run = make(messages={"worker-0": "shard a.zip lacks y"})
    run.workers[0].log.write_text("a long log\n")
    run.workers[0].code = 64
    assert run.tick().message.endswith("worker-0 cannot work: shard a.zip lacks y")


def test_run_continues_with_enough_workers(make):
    run = make(min_clients=1)
    run.workers[0].code = 64
    assert run.tick() is None
    assert "worker-0 cannot work" in run.observer.lines[0]
    assert run.tick() is None
    assert len(run.observer.lines) == 1, "reported once"


def test_restarts_of_a_worker_are_limited(make, clock):
    run = make(max_restarts=1)
    for _ in range(2):
        run.workers[0].code = 1
        end = run.tick()
        clock.now += 60
        end = end or run.tick()
    assert end.reason == Reason.TOO_FEW_WORKERS
    assert "was restarted 1 times already" in end.message


def test_agent_restarts_alone_and_counts_as_the_server(make, clock):
    run = make(agent=True)
    run.agent.code = -9
    assert run.tick() is None
    clock.now = 0.5
    assert run.tick() is None
    assert [child.starts for child in run.children] == [1, 2, 1, 1]
    run.server.code = -9
    run.tick()
    clock.now = 5
    run.tick()
    assert run.restarts == {"server": 2}


def test_agent_that_keeps_ending_ends_the_run_with_the_server_s_log(make, clock):
    run = make(agent=True, backoff_limit=1)
    run.agent.log.write_text("no job folder\n")
    for _ in range(2):
        run.agent.code = 1
        end = run.tick()
        clock.now += 60
        end = end or run.tick()
    assert end.reason == Reason.BACKOFF_LIMIT_EXCEEDED
    assert end.message.startswith("the server's agent ended with exit code 1 after 1 restarts")
    assert end.message.endswith("no job folder")


def test_committed_round_resets_the_crashes_of_the_agent(make, clock):
    run = make(agent=True, backoff_limit=1)
    for _ in range(3):
        run.agent.code = -9
        assert run.tick() is None
        clock.now += 60
        assert run.tick() is None
        run.round_committed()
