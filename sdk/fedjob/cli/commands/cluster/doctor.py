"""`fedjob doctor`: what a job needs, and what is missing."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from fedjob.cli.cluster_options import jobs_api, on_cluster
from fedjob.cli.display.console import errors_as_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.engines.kubernetes.diagnosis import Check, Outcome, diagnose
from fedjob.errors import EXIT_UNAVAILABLE

_SIGNS = {
    Outcome.OK: ("✓", "green"),
    Outcome.UNKNOWN: ("?", "dim"),
    Outcome.WARNING: ("!", "yellow"),
    Outcome.MISSING: ("✗", "red"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: fedjob doctor -n team-a")(on_cluster(doctor))


def doctor(
    *,
    target: Target,
    json: Json = False,
) -> None:
    """Check what a job needs in the cluster: CRD, rights, operator, store, registry, GPUs.

    Each fault comes with its fix. Exits with 3 when something is missing.
    """
    with errors_as_json(json):
        jobs = jobs_api(target)
        checks = list(diagnose(jobs.api, jobs.namespace))
    if json:
        print_json({
            "checks": [
                {"name": c.name, "outcome": str(c.outcome), "detail": c.detail, "fix": c.fix}
                for c in checks
            ]
        })  # fmt: skip
    else:
        output_console().print(checks_table(checks))
    if any(check.outcome is Outcome.MISSING for check in checks):
        raise typer.Exit(EXIT_UNAVAILABLE)


def checks_table(checks: list[Check]) -> Table:
    """One line a check, its fix below it."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in checks:
        sign, style = _SIGNS[check.outcome]
        detail = Text(check.detail)
        if check.fix:
            detail.append(f"\nfix: {check.fix}", style="dim")
        grid.add_row(Text(sign, style=style), Text(check.name, style="bold"), detail)
    return grid
