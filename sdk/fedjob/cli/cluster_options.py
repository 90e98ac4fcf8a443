"""Options of the commands for a cluster, and what they lead to: an API, or a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_type_hints

import typer

from fedjob.engines.kubernetes.access import Target
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


_OPTIONS: dict[str, Any] = {"context": Context, "namespace": Namespace, "kubeconfig": Kubeconfig}


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options that say which cluster, in place of its argument `target`.

    Typer reads options from a function's signature and has no way to group them: each command
    would repeat all three, and pass them on one by one.

    Args:
        command: Takes a `Target` as the keyword argument `target`.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[Parameter] = []
    for each in inspect.signature(command).parameters.values():
        if each.name != "target":
            parameters.append(each.replace(annotation=hints[each.name]))
            continue
        parameters += [
            Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in _OPTIONS.items()
        ]

    def run(**given: Any) -> None:
        command(target=Target(**{name: given.pop(name) for name in _OPTIONS}), **given)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, __name__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def job_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of jobs for the shell's completion; none where the cluster does not answer at once."""
    from fedjob.engines.kubernetes.access import ApiServer
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


def jobs_api(target: Target, *, default: str = "") -> JobsApi:
    """FederatedJobs of a namespace.

    Args:
        target: As the options give it.
        default: A namespace that the job's file names; the option comes before it.

    Raises:
        FedjobError: No kubeconfig was found, or it lacks the context.
    """
    from fedjob.engines.kubernetes.access import ApiServer
    from fedjob.engines.kubernetes.jobs import JobsApi

    return JobsApi(ApiServer(replace(target, namespace=target.namespace or default or None)))


def job_handle(name: str, target: Target) -> KubernetesHandle:
    """The run of a FederatedJob."""
    from fedjob.cli.display.console import error_console
    from fedjob.engines.kubernetes.handle import KubernetesHandle

    def interrupted(message: str) -> None:
        error_console().print(
            f"connection lost, trying again: {message}", style="yellow", markup=False,
            soft_wrap=True,
        )  # fmt: skip

    return KubernetesHandle(jobs_api(target), name, interrupted=interrupted)


def is_folder(name: str) -> bool:
    """Whether a NAME|DIR is the folder of a local run: it has a path in it, or holds a run."""
    path = Path(name)
    return "/" in name or name in (".", "..") or (path / ".fedjob").is_dir()


def run_handle(name: str, target: Target) -> RunHandle:
    """The run in a folder, or of a FederatedJob."""
    from fedjob.engines.local.handle import LocalHandle

    if is_folder(name):
        return LocalHandle(RunFolder.at(Path(name)))
    return job_handle(name, target)
