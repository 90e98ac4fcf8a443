"""Become a command that the kernel kills when the process that started it dies.

Run as a script (`python -I -S bound.py PARENT_PID COMMAND...`) between us and each command: the
wish to die with the parent (prctl PR_SET_PDEATHSIG) survives exec, and setting it here instead of
in a preexec_fn needs no code between fork and exec in a process that has threads. Linux only;
elsewhere the guard (leftovers.py) alone ends what is left.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Bind this process to its parent, then replace it by the command."""
    parent, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(1)  # The parent died before the kernel knew our wish.
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is ours
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
