"""Run a command that ends when whoever started it is gone, with time to end in order.

Run as a script: `python -I -S tether.py GRACE COMMAND...`. Its standard input is the tether: a pipe
that the starter holds; when it closes (the starter stopped us, or died in whatever way), the
command gets SIGTERM, and SIGKILL after GRACE seconds. Killed itself, it takes the command with it
(PR_SET_PDEATHSIG; Linux). The wish to die with a parent is bound to the *thread* that forked, so a
program whose threads come and go cannot use it directly; this one has a single thread. The first
line it writes is the command's pid. Standard library only, so that it starts in 20 ms and takes 10
MB.
"""

from __future__ import annotations

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Runs the command to its end; its exit status, 128 + n when signal n ended it."""
    grace, command = float(argv[0]), argv[1:]
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    ended, note = os.pipe()  # the kernel closes `note` in the command when it ends
    pid = os.fork()
    if pid == 0:
        os.set_inheritable(note, True)
        os.close(ended)
        _become(command)
    os.close(note)
    sys.stdout.write(f"{pid}\n")
    sys.stdout.close()
    os.close(1)
    ready, _, _ = select.select([0, ended], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGTERM)
        if not select.select([ended], [], [], grace)[0]:
            os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256


def _become(command: list[str]) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    for default in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(default, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    try:
        os.execv(command[0], command)  # noqa: S606 - the command is ours
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
