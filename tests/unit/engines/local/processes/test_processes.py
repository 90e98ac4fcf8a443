"""One command as a process: its log, its end, a restart."""

import os
import signal
import sys
import time

import pytest

from fedjob.engines.local.processes.processes import Child, stop, tail


def wait(child):
    deadline = time.monotonic() + 60
    while child.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child.poll()


@pytest.fixture
def python(tmp_path):
    made = []

    def make(code, **options):
        child = Child("c", [sys.executable, "-I", "-S", "-c", code], dict(os.environ),
                      tmp_path / "logs" / "c.log", **options)  # fmt: skip
        made.append(child)
        return child

    yield make
    stop(made, grace=0)


def test_output_is_appended_to_the_log_over_restarts(python):
    child = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (child.pid, child.poll(), child.running) == (None, None, False)
    for _ in range(2):
        child.start()
        assert wait(child) == 3
    assert sorted(tail(child.log).split()) == ["err", "err", "out", "out"]


def test_working_folder_is_made(python, tmp_path):
    child = python("import os; print(os.getcwd())", cwd=tmp_path / "my home")
    child.start()
    wait(child)
    assert tail(child.log) == str(tmp_path / "my home")


def test_child_is_in_a_session_of_its_own(python):
    child = python("import os; print(os.getsid(0) == os.getpid())")
    child.start()
    wait(child)
    assert tail(child.log) == "True"


def test_stop_sends_sigterm_first_and_passes_over_what_does_not_run(python):
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    child, never = python(code), python("")
    child.start()
    while "ready" not in tail(child.log):
        time.sleep(0.01)
    stop([child, never])
    assert child.poll() == 5
    assert never.poll() is None


def test_hurry_ends_the_wait(python):
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    child = python(code)
    child.start()
    while "ready" not in tail(child.log):
        time.sleep(0.01)
    stop([child], grace=600, hurry=lambda: True)
    assert child.poll() == -signal.SIGKILL


def test_tail_is_short(tmp_path):
    log = tmp_path / "x.log"
    assert tail(log) == ""
    log.write_text("\n".join(f"line {n}" for n in range(1000)))
    assert tail(log, lines=2) == "line 998\nline 999"
    log.write_text("x" * 10_000)
    assert len(tail(log, limit=100)) == 100


def test_standard_input_can_be_read_once_per_start_and_is_in_no_environment(python):
    code = (
        "import os, sys\n"
        "print(sys.stdin.read(), 'secret' in str(os.environ), sys.stdin.read() == '')"
    )
    child = python(code, stdin=b"a secret")
    for _ in range(2):
        child.start()
        assert wait(child) == 0
    assert tail(child.log).splitlines() == ["a secret False True"] * 2


def test_starts_of_a_child_that_shares_a_log_are_not_marked(python):
    child = python("print('out')", marked=False)
    child.start()
    wait(child)
    assert child.log.read_text() == "out\n"
