"""Real processes: started, restarted, ended; nothing is left whatever ends us.

Small scripts stand in for the runtime's commands only where a fault cannot be made otherwise.
"""

import os
import signal
import subprocess
import sys
import time
import uuid

import pytest

from fedjob.engines.local.processes.orphans import RUN_FOLDER, RUN_ID, kill_marked, marked
from fedjob.engines.local.processes.processes import Child, Guard, stop, tail
from fedjob.engines.local.processes.supervision import Limits, Supervision
from support.run_samples import Notes

PATIENCE = 60.0


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def python(tmp_path):
    """Makes a child that runs a piece of Python; ends all of them."""
    run_id = uuid.uuid4().hex
    env = {"PATH": os.environ["PATH"], RUN_ID: run_id, "FOLDER": str(tmp_path)}

    def make(name, code):
        return Child(name, [sys.executable, "-c", code], env, tmp_path / f"{name}.log")

    make.run_id = run_id
    yield make
    kill_marked(RUN_ID, run_id)


def run_to_end(supervision):
    supervision.start()
    deadline = time.monotonic() + PATIENCE
    while (end := supervision.tick()) is None:
        assert time.monotonic() < deadline, "the run did not end"
        time.sleep(0.02)
    stop(supervision.children, grace=5)
    return end


SLEEP = "import time; time.sleep(600)"
CRASH_ONCE = """
import os, pathlib, sys
seen = pathlib.Path(os.environ["FOLDER"]) / "{name}.seen"
if not seen.exists():
    seen.touch()
    os.kill(os.getpid(), 9)
"""


def test_a_server_that_is_killed_starts_again_and_completes(python):
    notes = Notes()
    server = python("server", CRASH_ONCE.format(name="server"))
    supervision = Supervision(server, [python("w", SLEEP)], Limits(1, 0, 6), notes, lambda: False)
    assert run_to_end(supervision).complete
    assert supervision.restarts == {"server": 1}
    assert notes.restarts == [("server", 1)]
    assert "signal 9" in notes.lines[0]


def test_a_server_that_keeps_crashing_fails_the_run_with_the_end_of_its_log(python):
    server = python("server", "raise SystemExit('no such module: torch')")
    supervision = Supervision(server, [python("w", SLEEP)], Limits(1, 0, 1), Notes(), lambda: False)
    end = run_to_end(supervision)
    assert not end.complete
    assert end.reason == "BackoffLimitExceeded"
    assert "no such module: torch" in end.message
    assert "exit code 1" in end.message


def test_a_server_that_gave_up_is_not_started_again(python):
    server = python("server", "raise SystemExit(1)")
    supervision = Supervision(server, [python("w", SLEEP)], Limits(1, 0, 6), Notes(), lambda: True)
    end = run_to_end(supervision)
    assert not end.complete
    assert supervision.restarts == {}


def test_a_worker_that_crashes_is_started_again_up_to_its_limit(python):
    notes = Notes()
    workers = [python("worker-0", "raise SystemExit('boom')"), python("worker-1", SLEEP)]
    supervision = Supervision(
        python("server", SLEEP), workers, Limits(2, 1, 6), notes, lambda: False
    )
    end = run_to_end(supervision)
    assert end.reason == "TooFewWorkers"
    assert "worker-0" in end.message
    assert "boom" in end.message
    assert "minClients" in end.message
    assert supervision.restarts == {"worker-0": 1}


def test_a_worker_that_cannot_work_is_not_started_again_and_others_go_on(python):
    notes = Notes()
    workers = [python("worker-0", "print('bad shard'); raise SystemExit(64)"), python("w", SLEEP)]
    server = python("server", "import time; time.sleep(1.5)")
    supervision = Supervision(server, workers, Limits(1, 3, 6), notes, lambda: False)
    assert run_to_end(supervision).complete
    assert supervision.restarts == {}
    assert any("worker-0 cannot work" in line and "bad shard" in line for line in notes.lines)


def test_failure_that_a_worker_reported_stands_instead_of_its_log(python):
    worker = python("worker-0", "print('a long log'); raise SystemExit(64)")
    supervision = Supervision(
        python("server", SLEEP),
        [worker],
        Limits(1, 3, 6),
        Notes(),
        lambda: False,
        "{} lacks y".format,
    )
    end = run_to_end(supervision)
    assert end.message.endswith("worker-0 cannot work: worker-0 lacks y")


def test_stop_ends_what_ignores_sigterm_and_its_group(python):
    stubborn = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""
    child = python("stubborn", stubborn)
    child.start()
    until(lambda: "ready" in tail(child.log))
    assert len(marked(RUN_ID, python.run_id)) == 2
    stop([child], grace=0.2)
    assert child.poll() == -signal.SIGKILL
    until(lambda: marked(RUN_ID, python.run_id) == [])


def test_a_command_that_does_not_exist_ends_with_127_and_says_so(tmp_path):
    child = Child("x", ["/no/such/program"], {}, tmp_path / "x.log")
    child.start()
    until(lambda: child.poll() is not None)
    assert child.poll() == 127
    assert "/no/such/program" in tail(child.log)


HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from fedjob.engines.local.processes.processes import Child, Guard
run_id = sys.argv[1]
keep = Guard(run_id)
env = dict(os.environ, FEDJOB_RUN_ID=run_id, FEDJOB_RUN_FOLDER=sys.argv[2])
# The child starts a grandchild in a session of its own, as NVFlare does with its job processes.
code = '''
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
time.sleep(600)
'''
child = Child("c", [sys.executable, "-c", code], env, Path(sys.argv[2]) / "c.log")
child.start()
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_our_death(tmp_path, number):
    """A kill -9 of `fedjob run` leaves no process, however deep."""
    run_id = uuid.uuid4().hex
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, run_id, str(tmp_path)], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"up\n"
        until(lambda: len(marked(RUN_ID, run_id)) == 2)
        assert marked(RUN_FOLDER, str(tmp_path)) != []
        holder.send_signal(number)
        holder.wait()
        until(lambda: marked(RUN_ID, run_id) == [])
    finally:
        holder.stdout.close()
        holder.kill()
        kill_marked(RUN_ID, run_id)


def test_the_guard_ends_what_is_left_when_it_is_released(python):
    guard = Guard(python.run_id)
    child = python("left", SLEEP)
    child.start()
    until(lambda: len(marked(RUN_ID, python.run_id)) == 1)
    guard.release()
    assert marked(RUN_ID, python.run_id) == []
    child.reap()
