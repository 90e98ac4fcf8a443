"""Commands end with their starter, by a kill or in order."""

import os
import signal
import subprocess
import sys

from fedjob.engines.local.processes import die_with_parent

SCRIPT = [sys.executable, "-I", "-S", die_with_parent.__file__]


def test_exec_becomes_the_command():
    code = "import os; print(os.getpid())"
    process = subprocess.Popen(
        [*SCRIPT, "exec", str(os.getpid()), sys.executable, "-c", code], stdout=subprocess.PIPE
    )
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid
    assert process.returncode == 0


def test_exec_does_not_start_the_command_of_a_parent_that_is_gone():
    done = subprocess.run([*SCRIPT, "exec", "1", "/bin/echo", "started"], capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")


def test_command_that_does_not_exist_ends_with_127_and_its_name():
    for mode, argument in (("exec", str(os.getpid())), ("supervise", "1")):
        done = subprocess.run(
            [*SCRIPT, mode, argument, "/no/such/program"],
            stdin=subprocess.PIPE, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 127
        assert b"/no/such/program: No such file" in done.stderr


def supervised(code, grace="20"):
    process = subprocess.Popen(
        [*SCRIPT, "supervise", grace, sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, int(process.stdout.readline())


def test_closed_standard_input_ends_the_command_in_order():
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "signal.pause()\n"
    )
    process, pid = supervised(code)
    assert process.stderr.readline() == "ready\n"
    assert pid != process.pid
    process.communicate(timeout=60)
    assert process.returncode == 7


def test_command_that_ignores_sigterm_is_killed():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    process, _ = supervised(code, grace="0.1")
    assert process.stderr.readline() == "ready\n"
    process.communicate(timeout=60)
    assert process.returncode == 256 - signal.SIGKILL


def test_end_of_the_command_is_the_end_of_its_supervisor():
    process, _ = supervised("raise SystemExit(3)")
    assert process.wait(60) == 3
    process.communicate()
