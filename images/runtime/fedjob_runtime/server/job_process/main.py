"""The server's job process: NVFlare's runner, with errors of a job's components reported.

    python -m fedjob_runtime.server.job_process.main ARGUMENTS...

NVFlare's runner logs an error of a component's constructor and exits; the supervisor would see a
process that is gone, and start the next segment, which fails in the same way.
"""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

import json
import os
import sys
from pathlib import Path
from typing import Any

from nvflare.fuel.f3.mpm import MainProcessMonitor
from nvflare.private.fed.app.server import runner_process

from fedjob_runtime.nvflare_site.patches import report_configuration_errors
from fedjob_runtime.protocol import ENV_HANDOVER, ENV_JOB_FOLDER, env_path
from fedjob_runtime.server.ipc import Handover, SegmentReport
from fedjob_runtime.server.job_process.failures import failure_of


def report_component(error: Exception, app_root: Path, handover: Handover, custom: Path) -> None:
    """Reports an error of a component's constructor as the end of its segment.

    Args:
        error: What was raised.
        app_root: The segment's job folder, as NVFlare deployed it.
        handover: Where the report goes; a superseded segment reports nothing.
        custom: The job folder's app/custom.
    """
    segment = segment_of(app_root)
    control = handover.read_control()
    if control is None or control.segment != segment:
        return
    failure = failure_of(error, custom, "before its first round", building=True)
    report = SegmentReport(segment, "ended", outcome="broken" if failure.may_pass else "error")
    report.error = {"reason": failure.reason, "message": failure.message}
    handover.report(report)


def segment_of(app_root: Path) -> int:
    """The number of the segment that a job folder belongs to."""
    config = json.loads((app_root / "config/config_fed_server.json").read_text())
    return int(config["workflows"][0]["args"]["segment"])


def main() -> int:
    """The command; the exit code is NVFlare's."""
    handover = Handover(env_path(ENV_HANDOVER))
    custom = env_path(ENV_JOB_FOLDER) / "app/custom"

    def report(error: Exception, arguments: Any) -> None:
        report_component(error, Path(arguments.app_root), handover, custom)

    report_configuration_errors(report)
    args = runner_process.parse_arguments()
    code = MainProcessMonitor.run(
        main_func=runner_process.main,
        run_dir=os.path.join(args.workspace, args.job_id),
        args=args,
    )
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
