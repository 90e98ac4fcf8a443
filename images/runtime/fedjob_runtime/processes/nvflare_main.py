"""Runs one of NVFlare's programs and exits with it, whatever threads it leaves running.

    python -m fedjob_runtime.processes.nvflare_main MODULE ARGUMENTS...

On a busy node NVFlare's client gives up its registration after 15 s; when its connection is made
just then, one of its threads keeps the idle process alive: the worker would be waited for until
somebody deletes its pod. (Seen with NVFlare 2.9.0 and ten jobs starting at once.)
"""

from __future__ import annotations

import os
import sys

from fedjob_runtime.processes.run_module import run_module


def main() -> None:
    """The command; does not return."""
    code: object = 0
    try:
        run_module(sys.argv[1:])
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001 (shown; then the process must end)
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
