"""The server's job process: NVFlare's runner, whose errors reach the supervisor.

    python -m fedjob_runtime.server.job_process.main ARGUMENTS...

NVFlare's runner logs what ends it and exits; the supervisor would see a process that is gone, and
start the next segment, which fails in the same way. What is raised before the controller runs, such
as by the constructor of an author's component, is therefore reported from here.
"""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from nvflare.fuel.f3.mpm import MainProcessMonitor
from nvflare.private.fed.app.server import runner_process

from fedjob_runtime.protocol import ENV_JOB_FOLDER, ENV_STATE, env_path
from fedjob_runtime.server.ipc import Handover, SegmentReport
from fedjob_runtime.server.job_process.failures import failure_of


def reporting(
    run: Callable[[Namespace], object], args: Namespace, handover: Handover, custom: Path
) -> None:
    """Runs NVFlare's runner; an exception is reported as the end of the segment, then raised.

    Args:
        run: NVFlare's runner.
        args: Its arguments.
        handover: Where the report goes.
        custom: The job folder's app/custom.
    """
    try:
        run(args)
    except Exception as error:
        # NVFlare's end of the process is the same whatever is raised; here it is kept.
        segment = segment_of(Path(args.app_root))
        control = handover.read_control()
        earlier = handover.read_report(segment)
        ended = earlier is not None and earlier.phase == "ended"
        if control is not None and control.segment == segment and not ended:
            failure = failure_of(error, custom, "before its first round")
            report = earlier or SegmentReport(segment)
            report.phase = "ended"
            report.outcome = "broken" if failure.may_pass else "error"
            report.error = {"reason": failure.reason, "message": failure.message}
            handover.report(report)
        raise


def segment_of(app_root: Path) -> int:
    """The segment that a job folder, as the supervisor wrote it, is of."""
    config = json.loads((app_root / "config/config_fed_server.json").read_text())
    return int(config["workflows"][0]["args"]["segment"])


def main() -> int:
    """The command; the exit code is NVFlare's."""
    args = runner_process.parse_arguments()
    handover = Handover(env_path(ENV_STATE))
    custom = env_path(ENV_JOB_FOLDER) / "app/custom"
    code = MainProcessMonitor.run(
        main_func=lambda args: reporting(runner_process.main, args, handover, custom),
        run_dir=os.path.join(args.workspace, args.job_id),
        args=args,
    )
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
