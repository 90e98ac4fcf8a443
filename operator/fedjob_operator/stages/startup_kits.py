"""Makes a job's startup kits with the runtime's command, so that nvflare is not imported."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import uuid
from pathlib import Path

from fedjob.preparation.startup_kits import KitsError, KitsRequest, kits_failure
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import server_name, worker_names
from fedjob_operator.resources.pod_contract import FL_PORT
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.state.observed import Kits

VALID_DAYS = 400
"""Longer than any activeDeadlineSeconds: kits are not renewed while a job runs, nor while it is
suspended, which its deadline does not count."""
TIMEOUT_SECONDS = 300.0
_PREFIX = "kits-"


def kits_request(job: FederatedJob, workers: int) -> KitsRequest:
    """The sites of a job, with every address of the server's Service in its certificate."""
    name, namespace = server_name(job.metadata.name), job.metadata.namespace
    return KitsRequest(
        project=job.metadata.name,
        server_name=name,
        hosts=[f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"],
        fl_port=FL_PORT,
        workers=worker_names(workers),
        valid_days=VALID_DAYS,
    )


def wipe_kits(folder: str) -> None:
    """Removes what a process that was killed has left: keys of authorities and of sites.

    Args:
        folder: Where kits are made; nothing is removed where it is empty.
    """
    for path in Path(folder).glob(f"{_PREFIX}*") if folder else ():
        shutil.rmtree(path, ignore_errors=True)


async def make_kits(job: FederatedJob, workers: int, folder: str = "") -> Kits:
    """Makes one set of kits: server, admin and every worker.

    Args:
        job: The job.
        workers: Number of its workers.
        folder: Where the command writes, its authority's key among it: memory, no disk. Empty: the
            default folder for temporary files.

    Raises:
        KitsError: The command failed or timed out.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder or None) as scratch:
        out = Path(scratch)
        process = await asyncio.create_subprocess_exec(
            *kits_request(job, workers).argv(out),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                _, stderr = await process.communicate()
        except TimeoutError:
            raise KitsError(
                f"startup kits were not made within {TIMEOUT_SECONDS:.0f} s; "
                "give the operator more CPU"
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise kits_failure(process.returncode, stderr.decode(errors="replace").strip()[-1000:])
        return await run_blocking(_read, out)


def _read(out: Path) -> Kits:
    files = {
        folder.name: {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        for folder in sorted(out.iterdir())
        if folder.is_dir()
    }
    return Kits(name=uuid.uuid4().hex[:12], files=files)
