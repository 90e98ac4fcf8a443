"""Processes of a run are found by a mark in their environment."""

import subprocess
import sys
import uuid

import pytest

from fedjob.engines.local.processes import orphans
from fedjob.engines.local.processes.orphans import RUN_ID, kill_marked, marked

SLEEP = [sys.executable, "-I", "-S", "-c", "print(flush=True); import time; time.sleep(600)"]


@pytest.fixture
def start():
    started = []

    def run(**env):
        process = subprocess.Popen(SLEEP, env=env, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout.readline() == b"\n"
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_marked_processes_are_found_whatever_session_they_are_in(start):
    run_id = uuid.uuid4().hex
    ours, _other = start(**{RUN_ID: run_id}), start(**{RUN_ID: f"{run_id}0"})
    start(OTHER=run_id)
    assert marked(RUN_ID, run_id) == [ours.pid]


def test_kill_ends_them_and_counts(start):
    run_id = uuid.uuid4().hex
    process = start(**{RUN_ID: run_id})
    assert kill_marked(RUN_ID, run_id) == 1
    assert process.wait(60) == -9
    assert kill_marked(RUN_ID, run_id) == 0


def test_guard_acts_when_its_standard_input_closes(start):
    run_id = uuid.uuid4().hex
    process = start(**{RUN_ID: run_id})
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", orphans.__file__, run_id], stdin=subprocess.PIPE, env={}
    )
    assert process.poll() is None
    guard.stdin.close()
    assert guard.wait(60) == 0
    assert process.wait(60) == -9
