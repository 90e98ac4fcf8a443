"""NVFlare's side: POC started, the job submitted through its admin API, its own log read."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import processes
import torch
from cases import START, Case
from memory import MemorySampler
from nvflare.fuel.flare_api.api_spec import NoConnection
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session
from nvflare_poc import ADMIN, CLIENT_NAMES, MARK, Poc
from run_figures import RunFigures

_TIME = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})")
_POLL_SECONDS = 0.1


def run(folder: Path, case: Case, seconds: float, tuned: bool) -> RunFigures:
    """Runs `case` once, in at most about `seconds`.

    Raises:
        AssertionError: It did not end as it should; with the ends of the logs.
    """
    figures = RunFigures("NVFlare tuned" if tuned else "NVFlare", case.name)
    with contextlib.closing(Poc(folder, case, tuned)) as poc:

        def groups() -> Mapping[str, Sequence[int]]:
            return {
                "server": processes.with_argument(f"{poc.sites}/server"),
                "worker": processes.with_argument(f"{poc.sites}/{CLIENT_NAMES[0]}"),
            }

        try:
            with MemorySampler(groups) as memory:
                _train(poc, figures, seconds)
            figures.memory = memory.peaks
        finally:
            processes.end_all(MARK, str(folder))
    return figures


def _train(poc: Poc, figures: RunFigures, seconds: float) -> None:
    began, deadline = time.time(), time.monotonic() + seconds
    _start(poc)
    session = _session(poc, deadline)
    try:
        while len(session.get_system_info().client_info) < len(CLIENT_NAMES):
            _wait(poc, deadline, "clients to register")
        figures.marks["registered"] = time.time() - began
        job = session.submit_job(str(poc.job))
        figures.marks["submitted"] = time.time() - began
        log = poc.sites / f"server/{job}/log.txt"
        while len(saved := _times(log, "End persist model on server")) < poc.case.rounds:
            _wait(poc, deadline, f"round {len(saved) + 1}")
        _check_model(poc.sites / f"server/{job}/app_server/FL_global_model.pt", poc.case.rounds)
        figures.rounds = [moment - began for moment in saved]
        figures.marks["round opened"] = _times(log, "Sampled clients")[0] - began
    finally:
        with contextlib.suppress(NoConnection):
            session.close()


def _start(poc: Poc) -> None:
    if not poc.tuned:
        # Its own wait for readiness once did not end; ours is bounded.
        poc.command("-m", "nvflare.cli", "poc", "start", "--no-wait")
        return
    for site in ("server", *CLIENT_NAMES):
        with (poc.folder / f"{site}.log").open("ab") as output:
            subprocess.Popen(
                ["bash", str(poc.sites / site / "startup/sub_start.sh"), "--once"],
                env=poc.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _session(poc: Poc, deadline: float) -> Session:
    while True:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it says that it connects
                return new_secure_session(ADMIN, str(poc.sites / ADMIN), timeout=5)
        except NoConnection:
            _wait(poc, deadline, "an admin session")


def _wait(poc: Poc, deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise AssertionError(f"NVFlare: waited too long for {what}\n{_logs(poc)}")
    time.sleep(_POLL_SECONDS)


def _times(log: Path, text: str) -> list[float]:
    """When NVFlare logged it, in seconds since the epoch."""
    moments = []
    with contextlib.suppress(FileNotFoundError):
        for line in log.read_text(errors="replace").splitlines():
            if text in line and (found := _TIME.match(line)):
                moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").astimezone()
                moments.append(moment.timestamp() + int(found[2]) / 1000)
    return moments


def _check_model(path: Path, rounds: int) -> None:
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    for name, value in saved["model"].items():
        assert torch.all(torch.as_tensor(value) == START + rounds), f"NVFlare: {name} is wrong"


def _logs(poc: Poc) -> str:
    paths = [*sorted(poc.folder.glob("*.log")), *sorted(poc.sites.glob("*/*/log.txt"))]
    return "\n".join(f"===== {path}\n{path.read_text(errors='replace')[-3000:]}" for path in paths)
