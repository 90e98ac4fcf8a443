"""Start a command that cannot outlive the process that started it.

Run as a script between us and a command, in one of two ways:

- `die_with_parent.py exec PARENT_PID COMMAND...` becomes the command, which the kernel kills
  (SIGKILL) when the thread that started it ends. For commands whose parent stops them in order.
- `die_with_parent.py supervise GRACE COMMAND...` keeps the command as its child. Standard input is
  a pipe that the starter holds: when it closes, because the starter stopped us or died, the command
  gets SIGTERM, and SIGKILL after GRACE seconds. Killed itself, it takes the command with it. The
  first line of its output is the command's pid. For a command that must end in order even when
  nobody is left to ask it, or whose starter has threads that come and go.

The wish to die with the parent (prctl PR_SET_PDEATHSIG, Linux) survives exec. Setting it here and
not in a preexec_fn needs no code between fork and exec in a process that has threads. Standard
library only, so that it starts in 20 ms and takes 10 MB.
"""

from __future__ import annotations

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str]) -> int:
    """Run a command as the first argument says; the exit status of a supervised one."""
    mode, argument, command = argv[0], argv[1], argv[2:]
    if mode == "exec":
        replace(int(argument), command)
    return supervise(float(argument), command)


def replace(parent: int, command: list[str]) -> None:
    """Become the command; does not return.

    Args:
        parent: Process id of the starter.
        command: Program and arguments; the program is looked up on PATH.
    """
    _die_with_parent()
    if os.getppid() != parent:
        sys.exit(1)  # the parent died before the kernel knew of our wish
    _execute(command)


def supervise(grace: float, command: list[str]) -> int:
    """Run the command until it ends or standard input closes.

    Args:
        grace: Seconds from SIGTERM to SIGKILL.
        command: Program and arguments.

    Returns:
        Its exit status, modulo 256; of a command that a signal ended, 256 minus the signal.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
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
    _die_with_parent()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    _execute(command)


def _die_with_parent() -> None:
    # Elsewhere the guard of the run (orphans.py) alone ends what is left.
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _execute(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is ours
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
