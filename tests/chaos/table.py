"""Formats the outcomes of the fault matrix as Markdown tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from chaos.faults import FAULTS, Phase

_COLUMNS = list(Phase)


def matrix(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: a row per fault, a column per phase, seconds until the next commit."""
    head = ["fault", *(str(phase) for phase in _COLUMNS), "verdict"]
    rows = [_row(name, mine) for name, mine in _by_fault(outcomes).items()]
    return _markdown(head, rows)


def figures(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: seconds from a fault in the middle of a round to the next commit."""
    head = ["fault", "times", "median", "least", "most", "segments", "server starts", "counted as"]
    rows = []
    for name, mine in _by_fault(outcomes).items():
        hits = [s for s in _strikes(mine) if s["phase"] == Phase.MID_ROUND]
        times = sorted(s["seconds"] for s in hits if s["seconds"] is not None)
        if not times:
            continue
        rows.append(
            [
                name,
                f"{len(times)} of {len(hits)}",
                f"{median(times):.1f} s",
                f"{times[0]:.1f} s",
                f"{times[-1]:.1f} s",
                f"{median(s['segments'] for s in hits):g}",
                f"{median(s['attempts'] for s in hits):g}",
                _counted(mine),
            ]
        )
    return _markdown(head, rows)


def _by_fault(
    outcomes: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    order = [fault.name for fault in FAULTS]
    names = sorted({o["fault"] for o in outcomes}, key=lambda n: [*order, n].index(n))
    return {name: [o for o in outcomes if o["fault"] == name] for name in names}


def _strikes(outcomes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [strike for outcome in outcomes for strike in outcome["strikes"]]


def _row(name: str, outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = []
    for phase in _COLUMNS:
        times = [s["seconds"] for s in _strikes(outcomes) if s["phase"] == phase]
        known = [t for t in times if t is not None]
        if len(known) < len(times):
            cells.append("did not continue")
        else:
            cells.append(f"{median(known):.1f} s" if known else "-")
    wrong = [line for outcome in outcomes for line in outcome["wrong"]]
    return [name, *cells, "; ".join(wrong)[:200] if wrong else "nothing lost"]


def _counted(outcomes: Sequence[Mapping[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        by_site = outcome["counts"]
        sites = [("server", by_site.get("server") or {})]
        sites += [("worker", causes) for causes in (by_site.get("workers") or {}).values()]
        sites.append(("retry", by_site.get("retries") or {}))
        for site, causes in sites:
            for cause, count in causes.items():
                counts[f"{site} {cause}"] = counts.get(f"{site} {cause}", 0) + count
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines
    )
