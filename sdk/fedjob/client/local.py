"""`LocalClient`: runs jobs on this machine, with the processes that a cluster would run."""

from __future__ import annotations

import warnings
from pathlib import Path

from fedjob.client.job import FederatedJob
from fedjob.client.python_names import in_python, python_names
from fedjob.client.run import Run, Runs
from fedjob.errors import Fault, FedjobWarning, InvalidInputError
from fedjob.spec.models import job as resource

DEFAULT_OUT = "fedjob-out"


class LocalClient:
    """Runs jobs on this machine: an S3 server, the federation's server and a worker a shard.

    Needs `pip install 'fedjob[local]'`. Each run has a folder of its job's name, which
    `fedjob report DIR` and the other commands take too.

    Examples:
        >>> run = LocalClient().submit(job, shards="shards/")
        >>> run.wait().model.uri
        'file:///.../fedjob-out/digits/model.safetensors'
    """

    def __init__(self, out: str | Path = DEFAULT_OUT) -> None:
        """Starts nothing.

        Args:
            out: Folder of the runs' folders.
        """
        self._out = Path(out).expanduser()

    def submit(
        self,
        job: resource.FederatedJob | str | Path,
        *,
        shards: str | Path | None = None,
        checkpoint: str | Path | None = None,
        fresh: bool = False,
        install: bool = False,
    ) -> Run:
        """Start a job, or resume it after its last committed round, and return while it runs.

        The run works in threads and processes of this Python, and ends with it; submitting the
        same job again resumes it.

        Args:
            job: From `from_model`, or the path of a job file.
            shards: Folder of the shard ZIPs: one worker each; None: `shards/` beside the job file.
            checkpoint: First weights on this machine, in place of the job's.
            fresh: Forget an earlier run of this name, whatever job it was.
            install: Install missing requirements into a cached folder, for this job only.

        Raises:
            InvalidJobError: Every fault of the job, its model and its shards, each with a fix; or
                the folder holds another job's run.
            UnavailableError: A package of `fedjob[local]` is missing, or another process runs the
                job.

        Examples:
            >>> run = LocalClient(out="runs/").submit("job.yaml", shards="shards/")
            >>> run.name
            'digits'
        """
        from fedjob.engines.local.engine import LocalEngine
        from fedjob.engines.local.processes.commands import require_local_packages
        from fedjob.engines.local.processes.overlay import with_packages
        from fedjob.engines.local.run_folder import RunFolder

        require_local_packages()
        with python_names():
            whole = job_of(job)
            prepared = with_packages(whole.prepared(shards, checkpoint=checkpoint), install=install)
            folder = RunFolder.at(self._out / whole.metadata.name)
            warn_of(prepared.hints)
            return Run(LocalEngine(prepared, folder, fresh=fresh).submit())

    def get(self, name: str) -> Run:
        """The run of a job that this or another process has submitted.

        Args:
            name: Of the job.

        Raises:
            InvalidJobError: No run has this name.

        Examples:
            >>> LocalClient().get("digits").status().state
            <JobState.COMPLETE: 'Complete'>
        """
        from fedjob.engines.local.handle import LocalHandle
        from fedjob.engines.local.run_folder import RunFolder

        with python_names():
            handle = LocalHandle(RunFolder.at(self._out / name))
        if "/" in name or handle.status() is None:
            names = ", ".join(run.name for run in self.list()) or "none"
            fix = f"give one of: {names}; or the client's out= of that run"
            raise InvalidInputError([Fault(name, f"is not a run in {self._out}", fix)])
        return Run(handle)

    def list(self) -> Runs:
        """Every run in the client's folder, by name.

        Examples:
            >>> [run.name for run in LocalClient().list()]
            ['digits']
        """
        from fedjob.engines.local.handle import LocalHandle
        from fedjob.engines.local.run_folder import RunFolder

        if not self._out.is_dir():
            return []
        handles = (
            LocalHandle(RunFolder.at(folder))
            for folder in sorted(self._out.iterdir())
            if folder.is_dir()
        )
        return [Run(handle) for handle in handles if handle.status() is not None]


def job_of(job: resource.FederatedJob | str | Path) -> FederatedJob:
    """The job of a resource, or of a job file's path.

    Raises:
        InvalidInputError: It is something else, or the file has faults.
    """
    if isinstance(job, resource.FederatedJob):
        return FederatedJob.of(job)
    if isinstance(job, str | Path):
        return FederatedJob.read(job)
    fix = "pass what from_model returned, or the path of a job file"
    raise InvalidInputError([Fault("job", f"is an object of {type(job).__name__}", fix)])


def warn_of(hints: tuple[str, ...]) -> None:
    """Show probable mistakes at the line that submitted."""
    for hint in hints:
        warnings.warn(in_python(hint), FedjobWarning, stacklevel=3)
