"""`fedjob prune`: removes what deleted jobs have left in the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fedjob.cli.cluster_options import Context, Kubeconfig, jobs_api
from fedjob.cli.display.console import error_console, errors_as_json, print_json, table_console
from fedjob.cli.display.pruned_table import PrunedLine, pruned_table
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.protocol.config import StoreLocation

if TYPE_CHECKING:
    from pathlib import Path

    from fedjob.storage.bucket import Bucket
    from fedjob.storage.pruning import PruneRules, StoredJob

_STORE = "Which store"


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "Example: fedjob prune -A --bucket fedjob --endpoint http://127.0.0.1:8333 --yes"
    app.command("prune", epilog=example)(prune)


def prune(
    *,
    bucket: Annotated[
        str,
        typer.Option(
            envvar="FEDJOB_STORE_BUCKET", help="The operator's bucket.", rich_help_panel=_STORE
        ),
    ],
    prefix: Annotated[
        str,
        typer.Option(
            envvar="FEDJOB_STORE_PREFIX", help="What is before jobs/.", rich_help_panel=_STORE
        ),
    ] = "",
    endpoint: Annotated[
        str | None,
        typer.Option(
            envvar="FEDJOB_STORE_ENDPOINT",
            metavar="URL",
            help="\\[default: AWS]",
            rich_help_panel=_STORE,
        ),
    ] = None,
    region: Annotated[
        str, typer.Option(envvar="FEDJOB_STORE_REGION", rich_help_panel=_STORE)
    ] = "us-east-1",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Remove; without it nothing is changed.")
    ] = False,
    results: Annotated[
        bool, typer.Option(help="Also remove models, reports, logs and kept files.")
    ] = False,
    unclaimed: Annotated[
        bool,
        typer.Option(
            help="Also prefixes that name no owner, or no cluster: uploads for jobs that never "
            "came, and jobs of earlier versions."
        ),
    ] = False,
    older_than: Annotated[
        float, typer.Option(metavar="HOURS", min=0, help="Keep what was written to later.")
    ] = 24.0,
    cluster_id: Annotated[
        str,
        typer.Option(
            envvar="FEDJOB_CLUSTER_ID",
            help="The chart's clusterId. \\[default: the uid of kube-system]",
        ),
    ] = "",
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="The jobs of every namespace.")
    ] = False,
    namespaces: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="May be repeated. \\[default: the context's]"
        ),
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    json: Json = False,
) -> None:
    """Remove shards, code and rounds of jobs that the cluster does not have any more.

    Results stay unless --results is given. The keys of the store are taken from AWS_ACCESS_KEY_ID
    and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role.
    """
    location = StoreLocation(endpoint=endpoint or None, region=region, bucket=bucket, prefix=prefix)
    with errors_as_json(json):
        lines = _prune(
            location,
            _Scope(everywhere, tuple(namespaces or ()), context, kubeconfig),
            cluster_id=cluster_id,
            seconds=older_than * 3600,
            results=results,
            unclaimed=unclaimed,
            yes=yes,
        )
    if json:
        print_json({"removed": yes, "jobs": [line.as_json() for line in lines]})
        return
    if not lines:
        error_console().print("nothing to remove", markup=False, soft_wrap=True)
        return
    table_console().print(pruned_table(lines, done=yes))
    if not yes and any(line.removes for line in lines):
        error_console().print("nothing was removed; give --yes to remove", markup=False)


class _Scope:
    """The jobs of the cluster that are compared with the store."""

    def __init__(
        self,
        everywhere: bool,
        namespaces: tuple[str, ...],
        context: str | None,
        kubeconfig: Path | None,
    ) -> None:
        first = namespaces[0] if namespaces else None
        self._jobs = jobs_api(Target(context, first, kubeconfig))
        self.api = self._jobs.api
        self.namespaces = None if everywhere else namespaces or (self._jobs.namespace,)

    def existing(self) -> frozenset[tuple[str, str]]:
        """Namespace and name of every job."""
        from fedjob.engines.kubernetes.jobs import JobsApi

        if self.namespaces is None:
            found = self._jobs.all(everywhere=True)
        else:
            found = [job for name in self.namespaces for job in JobsApi(self.api, name).all()]
        return frozenset((job.namespace, job.name) for job in found)


def _prune(
    location: StoreLocation,
    scope: _Scope,
    *,
    cluster_id: str,
    seconds: float,
    results: bool,
    unclaimed: bool,
    yes: bool,
) -> list[PrunedLine]:
    from fedjob.engines.kubernetes.cluster_id import read_cluster_id
    from fedjob.storage.bucket import Bucket
    from fedjob.storage.pruning import PruneRules, stored_jobs

    now = time.time()
    cluster = cluster_id or read_cluster_id(scope.api)
    with Bucket(location) as store:
        # The jobs are listed after their objects: a job that was created meanwhile is found.
        found = stored_jobs(store, location.prefix)
        rules = PruneRules(
            cluster=cluster,
            existing=scope.existing(),
            namespaces=scope.namespaces,
            written_before=now - seconds,
            results=results,
            unclaimed=unclaimed,
        )
        lines = [_line(store, job, rules, now, yes=yes) for job in found]
    return [line for line in lines if line is not None]


def _line(
    store: Bucket, job: StoredJob, rules: PruneRules, now: float, *, yes: bool
) -> PrunedLine | None:
    """What becomes of one job's objects; None where that is worth no line."""
    from fedjob.storage.pruning import Verdict, old_uploads, remove

    verdict = rules.judge(job)
    stale = old_uploads(job, now) if verdict is Verdict.EXISTS else job.uploads
    if verdict is Verdict.ELSEWHERE or (verdict is Verdict.EXISTS and not stale):
        return None
    if yes and verdict is Verdict.REMOVE:
        remove(store, job, results=rules.results)
    elif yes and verdict is Verdict.EXISTS:
        for upload in stale:
            store.client_uploads().abort(upload)
    return PrunedLine(
        namespace=job.layout.namespace,
        name=job.layout.name,
        objects=job.inputs.objects,
        bytes=job.inputs.bytes,
        result_bytes=job.results.bytes,
        uploads=len(stale),
        verdict=str(verdict),
        removes=verdict in (Verdict.REMOVE, Verdict.EXISTS),
        removes_results=verdict is Verdict.REMOVE and rules.results,
    )
