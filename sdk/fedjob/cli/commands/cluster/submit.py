"""`fedjob submit`: a job and its shards to a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from fedjob.cli.cluster_options import jobs_api, on_cluster
from fedjob.cli.display.console import error_console, errors_as_json, output_console, print_json
from fedjob.cli.display.follow_view import LineFollow, LiveFollow, follow_view
from fedjob.cli.display.status_text import why
from fedjob.cli.display.upload_progress import UploadProgress
from fedjob.cli.following import follow_run
from fedjob.cli.interruption import Interrupted
from fedjob.cli.options import Checkpoint, File, Json, ModelFile, Shards, local_files, read_job_text
from fedjob.engines.kubernetes.access import Target
from fedjob.engines.kubernetes.engine import KubernetesEngine
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.engines.run_status import RunStatus
from fedjob.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_UNAVAILABLE
from fedjob.formats import size
from fedjob.preparation.submission import Submission, submission_of
from fedjob.spec.models.status import JobState
from fedjob.spec.validation.parse import parse_job


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("submit", epilog="Example: fedjob submit job.yaml --shards shards/ --wait")(
        on_cluster(submit)
    )


def submit(
    file: File,
    *,
    shards: Shards = None,
    model_file: ModelFile = None,
    checkpoint: Checkpoint = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Stay until the run has ended, and show it.")
    ] = False,
    target: Target,
    json: Json = False,
) -> None:
    """Check the job, create or update it in the cluster, and send its shards.

    Needs a kubeconfig with rights on FederatedJobs, and no keys of a store. Repeated after an
    interruption, it sends what is missing. Ctrl-C detaches; the run is not stopped.
    """
    with errors_as_json(json):
        text, source = read_job_text(file)
        files = local_files(file, shards, model_file, checkpoint)
        with error_console().status("checking the job, its model and its shards"):
            given = model_file is not None
            submission = submission_of(parse_job(text, source, model_file_given=given), files)
        jobs = jobs_api(target, default=submission.namespace or "")
        observer = _Shown()
        for hint in submission.hints:
            observer.note(hint, warning=True)
        engine = KubernetesEngine(submission, jobs, observer)
        _send(engine, submission, observer)
        run = engine.handle
        last = _watch(run, observer) if wait else run.status()
    if json and last is not None:
        print_json(last.model_dump(mode="json", by_alias=True))
    elif not wait and last is not None and last.state is JobState.FAILED:
        ended(run.name, last)
    elif not wait:
        output_console().print(
            f"`fedjob watch {run.name}` shows the run, `fedjob result {run.name}` fetches its model"
            f"{_options(run)}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    refused = last is not None and last.state is JobState.FAILED
    raise typer.Exit(exit_code(last) if wait or refused else 0)


def exit_code(status: RunStatus | None) -> int:
    """How a followed run ended, as the command's exit code."""
    if status is None or not status.ended:
        return EXIT_UNAVAILABLE
    return 0 if status.state is JobState.COMPLETE else EXIT_FAILED


class _Shown:
    """Notes and the upload's progress, on stderr."""

    def __init__(self) -> None:
        self.view: LiveFollow | LineFollow | None = None
        self.bar: UploadProgress | None = None
        self._lines = LineFollow(error_console())
        self.uploads = (0, 0)

    def note(self, message: str, *, warning: bool = False) -> None:
        if self.view is not None:
            self.view.note(message, warning=warning)
            return
        style = "yellow" if warning else ""
        error_console().print(message, style=style, markup=False, soft_wrap=True)

    def uploaded(self, done: int, total: int) -> None:
        self.uploads = (done, total)
        if self.bar is not None:
            self.bar.moved(done, total)
        if not error_console().is_terminal:
            self._lines.uploaded(done, total)


def _send(engine: KubernetesEngine, submission: Submission, observer: _Shown) -> None:
    try:
        if not submission.files:
            engine.submit()
            return
        with UploadProgress(error_console()) as bar:
            observer.bar = bar
            engine.submit()
    except Interrupted:
        done, total = observer.uploads
        error_console().print(
            f"stopped with {size(done)} of {size(total)} sent; the same command continues",
            style="yellow", soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        observer.bar = None


def _watch(run: KubernetesHandle, observer: _Shown) -> RunStatus | None:
    try:
        with follow_view(error_console()) as view:
            observer.view = view
            last = follow_run(run, view)
    except Interrupted:
        detached(run)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        observer.view = None
    ended(run.name, last)
    return last


def detached(run: KubernetesHandle) -> None:
    """Say that the run is not stopped, and how to come back to it."""
    options = _options(run)
    error_console().print(
        f"detached; {run.name} is not stopped. `fedjob watch {run.name}` shows it again, "
        f"`fedjob cancel {run.name}` ends it{options}",
        style="yellow", markup=False, soft_wrap=True,
    )  # fmt: skip


def ended(name: str, status: RunStatus | None) -> None:
    """Say how a followed run ended, and what to do with it."""
    console = error_console()
    if status is None:
        text = f"{name} was deleted"
    elif status.state is JobState.COMPLETE:
        text = f"{name} is complete; `fedjob result {name}` fetches its model"
    elif status.ended:
        text = f"failed: {why(status)}; `fedjob logs {name}` shows the server's log"
    elif status.state is JobState.SUSPENDED:
        text = f"{name} is suspended; `fedjob resume {name}` continues it"
    else:
        text = f"{name} was deleted"
    style = "green" if status is not None and status.state is JobState.COMPLETE else "red"
    console.print(text, style=style, markup=False, soft_wrap=True)


def _options(run: KubernetesHandle) -> str:
    """The namespace, where it is not what the next command would take."""
    default = run.default_namespace
    return "" if run.namespace == default else f" (with -n {run.namespace})"
