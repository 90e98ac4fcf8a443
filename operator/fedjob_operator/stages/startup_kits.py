"""Startup kits, by the runtime's command in a process of its own: no nvflare is imported."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import uuid
from pathlib import Path

from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import server_name, worker_names
from fedjob_operator.resources.pod_contract import FL_PORT
from fedjob_operator.stages.errors import StageError
from fedjob_operator.state.observed import Kits

VALID_DAYS = 400
"""Beyond the longest activeDeadlineSeconds: kits are not renewed while a job runs."""
PATIENCE_SECONDS = 300.0


def kits_command(job: FederatedJob, workers: int, out: Path) -> list[str]:
    """The command line."""
    name, namespace = server_name(job.metadata.name), job.metadata.namespace
    command = [sys.executable, "-m", "fedjob_runtime.nvflare_site.provisioning", "--out", str(out)]
    command += ["--project", job.metadata.name, "--server-name", name]
    command += ["--host", f"{name}.{namespace}.svc"]
    command += ["--host", f"{name}.{namespace}.svc.cluster.local"]
    command += ["--fl-port", str(FL_PORT), "--valid-days", str(VALID_DAYS)]
    for worker in worker_names(workers):
        command += ["--worker", worker]
    return command


async def make_kits(job: FederatedJob, workers: int) -> Kits:
    """Makes one set of kits: server, admin and every worker.

    Raises:
        StageError: The command failed, or did not end.
    """
    with tempfile.TemporaryDirectory(prefix="kits-") as scratch:
        out = Path(scratch)
        process = await asyncio.create_subprocess_exec(
            *kits_command(job, workers, out),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                _, said = await process.communicate()
        except TimeoutError:
            fix = "give the operator more CPU"
            message = f"startup kits were not made within {PATIENCE_SECONDS:.0f} s; {fix}"
            raise StageError(Reason.INTERNAL_ERROR, message) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            tail = said.decode(errors="replace").strip()[-1000:]
            message = (
                f"startup kits: the command ended with {process.returncode}: {tail}; report it"
            )
            raise StageError(Reason.INTERNAL_ERROR, message)
        return await asyncio.to_thread(_read, out)


def _read(out: Path) -> Kits:
    files = {
        site.name: {file.name: file.read_bytes() for file in sorted(site.iterdir())}
        for site in sorted(out.iterdir())
        if site.is_dir()
    }
    return Kits(uuid.uuid4().hex[:12], files)
