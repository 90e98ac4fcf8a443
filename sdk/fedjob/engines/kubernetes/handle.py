"""A run that is a FederatedJob in a cluster: found by its name, from any process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from fedjob.atomic_files import write_bytes
from fedjob.engines.base import Report, RunHandle
from fedjob.engines.kubernetes.errors import ForbiddenError
from fedjob.engines.kubernetes.events import events_of
from fedjob.engines.kubernetes.jobs import Change, JobsApi
from fedjob.engines.kubernetes.pod_logs import SERVER, PodLogs
from fedjob.engines.kubernetes.resource import JobResource
from fedjob.engines.kubernetes.run_values import result_of, status_of
from fedjob.engines.kubernetes.stored_logs import StoredLogs
from fedjob.engines.kubernetes.transfer.keys import private_key
from fedjob.engines.kubernetes.transfer.results import Progress, Results
from fedjob.engines.log_lines import between
from fedjob.engines.result import BestModelFile, RunResult
from fedjob.engines.run_status import RunEvent, RunStatus
from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.formats import epoch
from fedjob.protocol.commit import Commit
from fedjob.protocol.history import History
from fedjob.protocol.result_files import BEST_MODEL, HISTORY, MODEL, REPORT
from fedjob.spec.models.status import HISTORY_LENGTH, JobState

_SITE = re.compile(r"server|worker-(0|[1-9]\d{0,3})")
SUSPEND = {"spec": {"runPolicy": {"suspend": True}}}
RESUME = {"spec": {"runPolicy": {"suspend": False}}}


class KubernetesHandle(RunHandle):
    """A FederatedJob of a namespace."""

    def __init__(
        self,
        jobs: JobsApi,
        name: str,
        *,
        interrupted: Callable[[str], None] = lambda message: None,
        keys: Path | None = None,
    ) -> None:
        """Asks for nothing yet.

        Args:
            jobs: The API, in the job's namespace.
            name: The job.
            interrupted: Called when a watch has lost its connection and is about to try again.
            keys: Folder of the keys of transfers; None: in the user's cache.
        """
        self._jobs = jobs
        self._name = name
        self._interrupted = interrupted
        self._keys = keys

    @property
    def name(self) -> str:
        """Of the job: metadata.name."""
        return self._name

    @property
    def namespace(self) -> str:
        """Of the job: metadata.namespace."""
        return self._jobs.namespace

    @property
    def default_namespace(self) -> str:
        """The namespace of the cluster's context."""
        return self._jobs.api.default_namespace

    @property
    def running(self) -> bool:
        """Whether the operator works on the job, or will."""
        job = self._jobs.find(self._name)
        return job is not None and not (job.ended or job.suspended or job.deleting)

    def status(self) -> RunStatus | None:
        """The run at this moment; None where no job has this name."""
        job = self._jobs.find(self._name)
        return None if job is None else status_of(job)

    def follow(self) -> Iterator[RunStatus]:
        """Every new status, the present one first, until the run ends, is suspended or deleted.

        It survives broken connections and restarts of the API server.

        Raises:
            JobNotFoundError: No job has this name.
        """
        yield from self._follow(None)

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one: also of a run that failed.

        Args:
            timeout: Seconds to wait at most; None waits for as long as it takes.

        Raises:
            JobNotFoundError: No job has this name.
            UnavailableError: The run was suspended or deleted, or is still running after `timeout`
                seconds.
        """
        last: RunStatus | None = None
        for status in self._follow(None if timeout is None else time.monotonic() + timeout):
            last = status
        if last is not None and last.ended:
            result = self.result()
            if result is not None:
                return result
        job = self._jobs.find(self._name)
        if job is None or job.deleting:
            raise UnavailableError(f"{self._where}: the job was deleted; submit it again")
        if job.suspended:
            raise UnavailableError(
                f"{self._where}: the run is suspended after round "
                f"{status_of(job).rounds_text}; `fedjob resume {self._name}` continues it"
            )
        raise UnavailableError(f"{self._where}: still running after {timeout:g} s; wait longer")

    def logs(
        self, site: str, *, follow: bool = False, round: int | None = None, previous: bool = False
    ) -> Iterator[str]:
        """The lines that a site has printed, from its pod, or from the store when it is gone.

        Args:
            site: `server` or `worker-<i>`.
            follow: Wait for new lines, also those of later pods, until the run ends or stops.
            round: Only the lines of that round, 1 and up, whichever start printed them.
            previous: The start before the last one.

        Raises:
            InvalidInputError: The run has no such site, round or start.
            ForbiddenError: Following needs the right to read the logs of pods.
        """
        job = self._jobs.get(self._name)
        self._check_site(job, site)
        if round is not None:
            yield from self._round_lines(site, round)
            return
        pods = PodLogs(self._jobs.api, self.namespace, self._name, site)
        if follow:
            yield from pods.follow(lambda: not self.running)
            return
        try:
            lines = pods.lines(previous=previous)
        except ForbiddenError:
            lines = None
        yield from (
            StoredLogs(self.results()).lines(site, previous=previous) if (lines is None) else lines
        )

    def events(self) -> list[RunEvent]:
        """What happened, the oldest first; the conditions where Events may not be read."""
        return events_of(self._jobs.api, self._jobs.get(self._name))

    def result(self) -> RunResult | None:
        """How the run ended; None before. Its `load` and `download` fetch from the store.

        Rounds that the status has no room for come from the store; where that cannot be read, the
        run's `interrupted` is called, and they are missing.
        """
        job = self._jobs.get(self._name)
        if not job.ended:
            return None
        found = result_of(job)
        if status_of(job).completed > len(found.rounds) >= HISTORY_LENGTH:
            found = self._with_all_rounds(found)
        best = found.best.round if found.best is not None else None
        return found.with_files(StoreFiles(self.results(best), found))

    def _with_all_rounds(self, found: RunResult) -> RunResult:
        try:
            data = self.results().read(f"model_out/{HISTORY}")
        except UnavailableError as error:
            self._interrupted(f"only the last {len(found.rounds)} rounds are known: {error}")
            return found
        if data is None:  # of an earlier version
            return found
        rounds = History.model_validate_json(data).rounds
        # After numRounds was raised, the file may be that of an earlier end.
        current = bool(rounds) and rounds[-1].round >= found.rounds[-1].round
        return found.model_copy(update={"rounds": rounds}) if current else found

    def report(self, path: Path | None = None) -> Report:
        """The HTML report of a run that has ended.

        Args:
            path: The file to write; None: `<name>-report.html` in the working folder.

        Raises:
            InvalidInputError: The run has no report yet.
        """
        job = self._jobs.get(self._name)
        target = Path(path or f"{self._name}-report.html").expanduser().absolute()
        data = self.results().read(f"model_out/{REPORT}")
        if data is None:
            problem = f"has no report yet ({status_of(job).summary})"
            fix = "run it again when the run has completed"
            raise InvalidInputError([Fault(self._name, problem, fix)])
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, data)
        return Report(path=target, rounds=status_of(job).completed)

    def suspend(self) -> None:
        """Have the operator stop the pods; committed rounds stay, and `resume` continues."""
        self._jobs.patch(self._name, SUSPEND)

    def resume(self) -> None:
        """Continue a suspended run after its last committed round; a running one is left alone."""
        if self._jobs.get(self._name).suspended:
            self._jobs.patch(self._name, RESUME)

    def cancel(self) -> None:
        """Delete the job with its pods; what is in the store stays."""
        self._jobs.delete(self._name)

    def job(self) -> JobResource:
        """The resource.

        Raises:
            JobNotFoundError: No job has this name.
        """
        return self._jobs.get(self._name)

    def results(self, round_number: int | None = None) -> Results:
        """What the run has in the store, without keys of the store.

        Args:
            round_number: A committed round whose files are wanted too.
        """
        key = private_key(self._jobs.api.server, self.namespace, self._name, self._keys)
        return Results(self._jobs, self._name, key, round_number=round_number)

    @property
    def _where(self) -> str:
        return f"{self.namespace}/{self._name}"

    def _follow(self, deadline: float | None) -> Iterator[RunStatus]:
        self._jobs.get(self._name)
        uid = ""
        last: RunStatus | None = None
        for each in self._jobs.watch(self._name, deadline=deadline, interrupted=self._interrupted):
            job = each.job
            if each.change is Change.DELETED or (uid and job.uid != uid):
                return
            uid = job.uid
            status = status_of(job)
            if status != last:
                last = status
                yield status
            if job.ended or (job.suspended and status.state is JobState.SUSPENDED):
                return

    def _check_site(self, job: JobResource, site: str) -> None:
        known = [SERVER, *(client.name for client in status_of(job).clients)]
        if _SITE.fullmatch(site) and (len(known) == 1 or site in known):
            return
        fix = f"one of: {', '.join(known)}"
        raise InvalidInputError([Fault(site, f"{self._name} has no such process", fix)])

    def _round_lines(self, site: str, number: int) -> Iterator[str]:
        results = self.results(number)
        data = results.read(f"rounds/{number}/commit.json")
        if data is None:
            done = status_of(self._jobs.get(self._name)).completed
            fix = f"give a round from 1 to {done}" if done else "wait for the first round"
            raise InvalidInputError([Fault(f"round {number}", "is not committed", fix)])
        commit = Commit.model_validate_json(data)
        start, end = epoch(commit.started), epoch(commit.ended)
        try:
            lines = PodLogs(self._jobs.api, self.namespace, self._name, site).lines()
        except ForbiddenError:
            lines = None
        if lines is not None:
            found = list(between(lines, start or 0.0, end))
            if found:
                yield from found
                return
        stored = StoredLogs(results).lines(site, every=True)
        yield from between(stored, start or 0.0, end)


class StoreFiles:
    """The files of a result in the store."""

    def __init__(
        self, results: Results, result: RunResult, progress: Progress = lambda done, total: None
    ) -> None:
        """Fetches nothing yet.

        Args:
            results: The job's objects.
            result: How the run ended: it names the model's digest.
            progress: Called with bytes done and in all.
        """
        self._results = results
        self._result = result
        self._progress = progress

    def fetch(self, name: str, path: Path) -> bool:
        """Write one file of the result to `path`; False where the run has none of this name."""
        key, digests = f"model_out/{name}", {}
        best = self._result.best
        if name == BEST_MODEL and best is not None:
            key = best_model_path(best)
            digests = {key: best.sha256}
        if name == MODEL and self._result.model is not None:
            digests = {key: self._result.model.sha256}
        return not self._results.fetch({key: path}, sha256=digests, progress=self._progress)


def best_model_path(best: BestModelFile) -> str:
    """The object of the best round's model, by its path below the job's prefix."""
    return f"rounds/{best.round}/{PurePosixPath(best.uri or '').name}"
