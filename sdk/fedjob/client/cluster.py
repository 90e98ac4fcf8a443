"""`Client`: runs jobs in a cluster, with the rights of a kubeconfig and nothing more."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fedjob.client.job import FederatedJob
from fedjob.client.local import job_of, warn_of
from fedjob.client.python_names import python_names
from fedjob.client.run import Run, Runs
from fedjob.client.upload_progress import UploadProgress
from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models import job as resource
from fedjob.spec.validation.checks import GENERATED_FILES
from fedjob.workspace.components import CUSTOM
from fedjob.workspace.job_folder import JOB_FILE, read_job_folder

if TYPE_CHECKING:
    from fedjob.engines.kubernetes.jobs import JobsApi


class Client:
    """Runs jobs in a cluster that has the operator, as kubectl's user.

    Needs rights on FederatedJobs in one namespace, and nothing else: shards go to the store and
    results come back through URLs that the operator signs.

    Examples:
        >>> client = Client(context="prod", namespace="team")
        >>> client.submit(job, shards="shards/").wait().state
        <RunState.COMPLETE: 'Complete'>
    """

    def __init__(
        self,
        context: str | None = None,
        namespace: str | None = None,
        kubeconfig: str | Path | None = None,
        *,
        progress: bool | None = None,
    ) -> None:
        """Sends nothing yet; the kubeconfig is read at the first use.

        Args:
            context: Of the kubeconfig; None: its current one.
            namespace: None: that of the context, or `default`.
            kubeconfig: A file; None: $KUBECONFIG, else ~/.kube/config, else a pod's own account.
            progress: Whether to show a bar while files are sent; None: in a terminal or notebook.
        """
        self._context = context
        self._namespace = namespace
        self._kubeconfig = None if kubeconfig is None else Path(kubeconfig).expanduser()
        self._progress = progress

    @cached_property
    def _jobs(self) -> JobsApi:
        from fedjob.engines.kubernetes.access import ApiServer, Target
        from fedjob.engines.kubernetes.jobs import JobsApi

        return JobsApi(ApiServer(Target(self._context, self._namespace, self._kubeconfig)))

    def submit(
        self,
        job: resource.FederatedJob | str | Path,
        *,
        shards: str | Path | None = None,
        checkpoint: str | Path | None = None,
    ) -> Run:
        """Create the job, or make it what it is now, and send its files; it starts by itself.

        Repeated after an interruption, it sends only what is missing. A suspended job is resumed.

        Args:
            job: From `from_model`, or the path of a job file.
            shards: Folder of the shard ZIPs: one worker each; None: what the job names in S3, else
                `shards/` beside the job file.
            checkpoint: First weights on this machine, in place of the job's.

        Raises:
            InvalidJobError: Every fault of the job, its model and its shards, each with a fix.
            UnavailableError: The cluster or its store cannot be reached, refuses the user, or
                refuses the job.

        Examples:
            >>> run = Client().submit(job, shards="shards/")
            >>> run.namespace
            'default'
        """
        from fedjob.engines.kubernetes.engine import KubernetesEngine
        from fedjob.engines.kubernetes.jobs import JobsApi
        from fedjob.preparation.submission import submission_of

        with python_names():
            whole = job_of(job)
            submission = submission_of(whole, whole.local_files(shards, checkpoint=checkpoint))
            warn_of(submission.hints)
            namespace = self._namespace_of(whole)
            jobs = JobsApi(self._jobs.api, namespace) if namespace else self._jobs
            with UploadProgress(whole.metadata.name, self._progress) as progress:
                return Run(KubernetesEngine(submission, jobs, progress).submit())

    def _namespace_of(self, job: FederatedJob) -> str | None:
        """The client's own namespace, else the job's; None: that of the context."""
        given = "namespace" in job.metadata.model_fields_set
        return self._namespace or (job.metadata.namespace if given else None)

    def upload(self, folder: str | Path, *, shards: str | Path | None = None) -> Run:
        """Submit the job of a folder that `FederatedJob.build` wrote, after you have inspected it.

        Args:
            folder: The job folder; changes of model_def.py and the files beside it are taken.
            shards: Folder of the shard ZIPs.

        Raises:
            InvalidJobError: It is not a job folder, or holds changes of generated files, which the
                operator would write again from job.yaml.
            UnavailableError: As `submit`.

        Examples:
            >>> folder = job.build("job/", shards="shards/")
            >>> Client().upload(folder, shards="shards/").name
            'digits'
        """
        return self.submit(built_job(folder, shards), shards=shards)

    def get(self, name: str) -> Run:
        """The run of a job in the client's namespace, whoever submitted it.

        Args:
            name: Of the job.

        Raises:
            InvalidJobError: No job has this name.
            UnavailableError: The cluster cannot be reached, or refuses the user.

        Examples:
            >>> Client().get("digits").status().state
            <JobState.COMPLETE: 'Complete'>
        """
        from fedjob.engines.kubernetes.handle import KubernetesHandle

        self._jobs.get(name)
        return Run(KubernetesHandle(self._jobs, name))

    def list(self, *, all_namespaces: bool = False) -> Runs:
        """Every job of the client's namespace, by name.

        Args:
            all_namespaces: Of all namespaces, which needs that right.

        Raises:
            UnavailableError: The cluster cannot be reached, or refuses the user.

        Examples:
            >>> [run.name for run in Client().list()]
            ['digits']
        """
        from fedjob.engines.kubernetes.handle import KubernetesHandle
        from fedjob.engines.kubernetes.jobs import JobsApi

        found = self._jobs.all(everywhere=all_namespaces)
        return [
            Run(KubernetesHandle(JobsApi(self._jobs.api, job.namespace), job.name)) for job in found
        ]


def built_job(folder: str | Path, shards: str | Path | None) -> FederatedJob:
    """The job of a folder that `FederatedJob.build` or `fedjob build` wrote.

    Raises:
        InvalidInputError: It is not such a folder, or a generated file in it was changed.
    """
    path = Path(folder).expanduser()
    files = read_job_folder(path)
    if JOB_FILE not in files:
        fix = "make the folder with job.build(DIR) or `fedjob build`"
        raise InvalidInputError([Fault(str(path), f"has no {JOB_FILE}", fix)])
    text = files.pop(JOB_FILE).decode()
    job = FederatedJob.from_yaml(text, source=str(path / JOB_FILE))
    custom = {
        name.removeprefix(CUSTOM): content
        for name, content in files.items()
        if name.startswith(CUSTOM) and name.removeprefix(CUSTOM) not in GENERATED_FILES[1:]
    }
    job = job.with_code(custom.pop(GENERATED_FILES[0]).decode(), custom)
    rendered = job.prepared(shards).job_files
    fix = f"change {JOB_FILE} and build the folder again: the operator writes this file from it"
    faults = [
        Fault(str(path / name), "was changed by hand", fix)
        for name in sorted(rendered.keys() | files.keys())
        if rendered.get(name) != files.get(name)
    ]
    if faults:
        raise InvalidInputError(faults)
    return job
