"""Figures of all runs as two Markdown tables: medians side by side, and ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from cases import Case
from run_figures import PHASES, RunFigures

OURS = "fedjob"
THEIRS = ("NVFlare", "NVFlare tuned")
SYSTEMS = (OURS, *THEIRS)

_FIGURES: dict[str, Callable[[RunFigures], float | None]] = {
    "start → first round, s": lambda run: run.first,
    "seconds a round": lambda run: run.a_round,
    "peak memory, server, MB": lambda run: run.memory.get("server"),
    "peak memory, one worker, MB": lambda run: run.memory.get("worker"),
    "peak memory, S3 server, MB": lambda run: run.memory.get("store"),
}


def comparison(runs: Sequence[RunFigures], cases: Sequence[Case]) -> str:
    """Every figure of every case: medians over the runs, and fedjob's divided by the others'."""
    rows = [["model", "figure", *SYSTEMS, *(f"fedjob / {name}" for name in THEIRS)]]
    for case in cases:
        for title, figure in _FIGURES.items():
            of = {name: _median(runs, name, case, figure) for name in SYSTEMS}
            ratios = [_ratio(of[OURS], of[name]) for name in THEIRS]
            label = f"{case.name}, {case.megabytes:.3g} MB"
            rows.append([label, title, *(_number(value) for value in of.values()), *ratios])
    return _table(rows)


def way_to_first_round(runs: Sequence[RunFigures], case: Case) -> str:
    """Where the seconds of start → first round go; medians over the runs."""
    titles = {
        "registered": "processes up, server and clients registered",
        "submitted": "NVFlare job submitted",
        "round opened": "job scheduled, server's job process up, round opened",
        "first round": "clients' job processes up, first round done",
    }
    rows = [[f"seconds of the {case.name} model's start", *SYSTEMS]]
    for phase in (*PHASES, "first round"):
        values = [_median(runs, name, case, lambda run: run.phases[phase]) for name in SYSTEMS]  # noqa: B023 (called at once)
        rows.append([titles[phase], *map(_number, values)])
    return _table(rows)


def _median(
    runs: Sequence[RunFigures],
    system: str,
    case: Case,
    figure: Callable[[RunFigures], float | None],
) -> float | None:
    values = [figure(run) for run in runs if (run.system, run.case) == (system, case.name)]
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _ratio(ours: float | None, other: float | None) -> str:
    return f"{ours / other:.2f}" if ours is not None and other else "-"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
