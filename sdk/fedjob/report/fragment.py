"""A run as a piece of HTML for a notebook's cell, with the report's own charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedjob.protocol.commit import Commit
from fedjob.report.charts import metric_charts
from fedjob.report.page import resource, templates

MOST_CLIENTS = 20
MOST_CHARTS = 3


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One worker as the fragment shows it.

    Attributes:
        name: Such as `worker-0`.
        shard: File name of its shard.
        state: As the server sees it.
        samples: Of its last result; empty: none yet.
        restarts: Empty where there were none.
        title: Why it failed, as a tooltip.
    """

    name: str
    shard: str = ""
    state: str = ""
    samples: str = ""
    restarts: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """What the fragment shows beside the curves.

    Attributes:
        name: The job.
        state: In one word.
        tone: `good`, `bad`, `warn` or empty.
        facts: Short texts beside the state.
        percent: Of the rounds, 0 to 100; None: no bar.
        message: What the run does, or why it failed.
        clients: The workers.
    """

    name: str
    state: str
    tone: str = ""
    facts: Sequence[str] = ()
    percent: int | None = None
    message: str = ""
    clients: Sequence[ClientRow] = ()

    @property
    def more_clients(self) -> int:
        """Workers that are not shown."""
        return max(0, len(self.clients) - MOST_CLIENTS)


def fragment(view: RunView, metrics: Mapping[int, Mapping[str, float | None]]) -> str:
    """The HTML of one run; it loads nothing, holds no script, and styles nothing but itself.

    Args:
        view: What is known beside the curves.
        metrics: Metrics by round.
    """
    commits = [
        Commit(
            round=number,
            attempt=0,
            sha256="",
            size=0,
            metrics={
                name: value
                for name, value in values.items()
                if value is not None and math.isfinite(value)
            },
            started="",
            ended="",
        )
        for number, values in sorted(metrics.items())
    ]
    shown = RunView(
        name=view.name,
        state=view.state,
        tone=view.tone,
        facts=view.facts,
        percent=view.percent,
        message=view.message,
        clients=view.clients[:MOST_CLIENTS],
    )
    return (
        templates()
        .get_template("fragment.html.j2")
        .render(
            view=shown,
            more_clients=view.more_clients,
            charts=metric_charts(commits)[:MOST_CHARTS] if commits else [],
            style=Markup(resource("fragment.css")),  # noqa: S704 - our own file
        )
    )
