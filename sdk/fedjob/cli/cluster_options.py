"""Options of the commands for a cluster, and what they lead to: an API, or a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from fedjob.engines.local.run_folder import RunFolder

if TYPE_CHECKING:
    from fedjob.engines.base import RunHandle
    from fedjob.engines.kubernetes.handle import KubernetesHandle
    from fedjob.engines.kubernetes.jobs import JobsApi

_PANEL = "Which cluster"
Context: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Context of the kubeconfig. \\[default: current]",
        rich_help_panel=_PANEL,
    ),
]
Namespace: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="\\[default: the context's]",
        rich_help_panel=_PANEL,
    ),
]
Kubeconfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="\\[default: $KUBECONFIG or ~/.kube/config]", rich_help_panel=_PANEL
    ),
]


def job_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of jobs for the shell's completion; none where the cluster does not answer at once."""
    from fedjob.engines.kubernetes.access import ApiServer, Target
    from fedjob.engines.kubernetes.jobs import JobsApi
    from fedjob.errors import FedjobError

    given = context.params
    target = Target(given.get("context"), given.get("namespace"), given.get("kubeconfig"))
    try:
        found = JobsApi(ApiServer(target, patience=0.0)).all()
    except FedjobError:
        return []
    return [job.name for job in found if job.name.startswith(incomplete)]


Job: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="The FederatedJob.", autocompletion=job_names)
]
JobOrFolder: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="NAME|DIR",
        help="The FederatedJob, or the folder of a `fedjob run`.",
        autocompletion=job_names,
    ),
]


def jobs_api(
    context: str | None, namespace: str | None, kubeconfig: Path | None, *, default: str = ""
) -> JobsApi:
    """FederatedJobs of a namespace.

    Args:
        context: Of the kubeconfig.
        namespace: As the option gives it.
        kubeconfig: A file.
        default: A namespace that the job's file names; the option comes before it.

    Raises:
        FedjobError: No kubeconfig was found, or it lacks the context.
    """
    from fedjob.engines.kubernetes.access import ApiServer, Target
    from fedjob.engines.kubernetes.jobs import JobsApi

    return JobsApi(ApiServer(Target(context, namespace or default or None, kubeconfig)))


def job_handle(
    name: str, context: str | None, namespace: str | None, kubeconfig: Path | None
) -> KubernetesHandle:
    """The run of a FederatedJob."""
    from fedjob.cli.display.console import error_console
    from fedjob.engines.kubernetes.handle import KubernetesHandle

    def interrupted(message: str) -> None:
        error_console().print(
            f"connection lost, trying again: {message}", style="yellow", markup=False,
            soft_wrap=True,
        )  # fmt: skip

    return KubernetesHandle(jobs_api(context, namespace, kubeconfig), name, interrupted=interrupted)


def is_folder(name: str) -> bool:
    """Whether a NAME|DIR is the folder of a local run: it has a path in it, or holds a run."""
    path = Path(name)
    return "/" in name or name in (".", "..") or (path / ".fedjob").is_dir()


def run_handle(
    name: str, context: str | None, namespace: str | None, kubeconfig: Path | None
) -> RunHandle:
    """The run in a folder, or of a FederatedJob."""
    from fedjob.engines.local.handle import LocalHandle

    if is_folder(name):
        return LocalHandle(RunFolder.at(Path(name)))
    return job_handle(name, context, namespace, kubeconfig)
