"""The engine of a cluster: a job becomes a FederatedJob, and its files travel to the store."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fedjob.engines.base import Engine
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.engines.kubernetes.jobs import JobsApi
from fedjob.engines.kubernetes.resource import JobResource
from fedjob.engines.kubernetes.transfer.keys import private_key
from fedjob.engines.kubernetes.transfer.upload import (
    PARALLEL,
    UploadSession,
    request_annotations,
)
from fedjob.engines.kubernetes.transfer.upload_sources import source_of
from fedjob.engines.result import RunResult
from fedjob.errors import UnavailableError
from fedjob.preparation.submission import Submission
from fedjob.spec.models.status import JobState


class SubmitObserver(Protocol):
    """Receives what is worth showing of a submission; may be called from several threads."""

    def note(self, message: str, *, warning: bool = False) -> None:
        """One line that a person may want to read."""

    def uploaded(self, done: int, total: int) -> None:
        """Bytes of the job's files that are in the store, of how many."""


class SilentSubmit:
    """Ignores everything: for scripts and tests."""

    def note(self, message: str, *, warning: bool = False) -> None:
        """Ignore it."""

    def uploaded(self, done: int, total: int) -> None:
        """Ignore it."""


class KubernetesEngine(Engine):
    """Creates or updates a FederatedJob, and sends its files.

    Examples:
        >>> api = ApiServer(Target(context="prod"))
        >>> job = submission_of(parse_job(text), LocalFiles(shards=Path("shards")))
        >>> KubernetesEngine(job, JobsApi(api)).run().state
        <RunState.COMPLETE: 'Complete'>
    """

    def __init__(
        self,
        submission: Submission,
        jobs: JobsApi,
        observer: SubmitObserver | None = None,
        *,
        keys: Path | None = None,
        parallel: int = PARALLEL,
    ) -> None:
        """Sends nothing yet.

        Args:
            submission: The job, checked.
            jobs: The API, in the namespace that the job is to be in.
            observer: Notified of progress.
            keys: Folder of the keys of transfers; None: in the user's cache.
            parallel: Requests of an upload at once.
        """
        self._submission = submission
        self._jobs = jobs
        self._observer: SubmitObserver = observer or SilentSubmit()
        self._keys = keys
        self._parallel = parallel

    @property
    def handle(self) -> KubernetesHandle:
        """The run, also before `submit` has returned."""
        name = str(self._submission.manifest["metadata"]["name"])
        return KubernetesHandle(
            self._jobs, name, keys=self._keys,
            interrupted=lambda message: self._observer.note(message, warning=True),
        )  # fmt: skip

    def submit(self) -> KubernetesHandle:
        """Create the job, or make it what it is now, and send its files; it starts by itself.

        Repeated after an interruption, it sends what is missing. A suspended job is resumed unless
        the submission itself says `suspend: true`.

        Raises:
            JobRefusedError: The API server refuses the job, such as a change of an immutable field.
            UnavailableError: The cluster or the store cannot be reached, or the operator does not
                answer.
        """
        handle = self.handle
        files = {path: source_of(given) for path, given in self._submission.files.items()}
        before = self._jobs.find(handle.name)
        if before is not None and before.deleting:
            raise UnavailableError(
                f"{self._jobs.namespace}/{handle.name} is being deleted; submit it again when "
                f"`fedjob list` does not show it any more"
            )
        key = private_key(self._jobs.api.server, self._jobs.namespace, handle.name, self._keys)
        needed = bool(files) and not _has_the_same(before, self._submission.manifest)
        manifest = _manifest(self._submission.manifest, before, key if needed else None)
        job = self._jobs.apply(manifest)
        self._observer.note(f"{self._jobs.namespace}/{job.name} {_outcome(before, job)}")
        if needed and job.suspended:
            # The operator makes no offers for it.
            self._observer.note(
                f"{job.name} is suspended: its files are not sent; submit it again without "
                f"runPolicy.suspend",
                warning=True,
            )
        elif needed:
            upload = before.status.transfer.upload if before and before.status.transfer else None
            session = UploadSession(
                self._jobs, job.name, files, key,
                after=(upload.sequence or 0) if upload is not None else 0,
                progress=self._observer.uploaded, parallel=self._parallel,
            )  # fmt: skip
            session.run()
        return handle

    def run(self) -> RunResult:
        """Submit the job and wait for its end.

        Raises:
            JobRefusedError: The API server refuses the job.
            UnavailableError: The run was suspended or deleted, or something cannot be reached.
        """
        return self.submit().wait()


def _has_the_same(job: JobResource | None, manifest: Mapping[str, Any]) -> bool:
    """Whether the job's files are in the store already, and are those of the manifest."""
    if job is None:
        return False
    if _uploads(manifest["spec"]) != _uploads(job.spec):
        return False
    waits = job.status.state in (None, JobState.PENDING, JobState.UPLOADING)
    return not waits and job.status.state is not JobState.SUSPENDED


def _uploads(spec: Mapping[str, Any]) -> list[Any]:
    """What the spec names of files that a client sends."""
    model, shards = spec.get("model") or {}, spec.get("shards") or {}
    source = model.get("source") or {}
    return [source.get("upload"), model.get("upload"), shards.get("upload")]


def _manifest(
    manifest: Mapping[str, Any], before: JobResource | None, key: bytes | None
) -> dict[str, Any]:
    """What is applied: with the request for an upload, and resumed where it was suspended."""
    result = copy.deepcopy(dict(manifest))
    if key is not None:
        notes = result["metadata"].setdefault("annotations", {})
        notes.update(request_annotations(key))
    if before is not None and before.suspended:
        result["spec"].setdefault("runPolicy", {}).setdefault("suspend", False)
    return result


def _outcome(before: JobResource | None, after: JobResource) -> str:
    if before is None:
        return "created"
    if before.uid == after.uid and before.generation == after.generation:
        if after.ended:
            return f"is {after.status.state} already"
        return "unchanged"
    return "resumed" if before.suspended and not after.suspended else "updated"
