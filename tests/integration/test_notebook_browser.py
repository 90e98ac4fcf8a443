"""A run in a notebook's cell, in a real browser: it fits narrow cells and leaves the page alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fedjob.client.notebook import run_html
from fedjob.engines.result import RoundLine
from fedjob.engines.run_status import ClientInfo, RunStatus
from fedjob.spec.models.status import JobState
from integration.test_report_browser import browse, chromium, site

__all__ = ["chromium", "site"]

PAGE = """<!DOCTYPE html><title>cell</title><style>body {{ margin: 0; background: {paper};
color: {ink}; font: 16px serif }} #cell {{ width: {width}px }}</style>
<p id="before">text of the notebook</p><div id="cell">{fragment}</div><pre id="out"></pre><script>
const cell = document.getElementById("cell"), out = document.getElementById("out");
const charts = [...cell.querySelectorAll("svg")].map((svg) => svg.getBoundingClientRect());
out.textContent = JSON.stringify({{
  overflow: cell.scrollWidth - cell.clientWidth, charts: charts.length,
  lowest: Math.min(...charts.map((box) => box.height)),
  before: getComputedStyle(document.getElementById("before")).fontSize,
  text: getComputedStyle(cell.querySelector("b")).color,
}});</script>"""


def fragment() -> str:
    status = RunStatus(
        name="digits", state=JobState.TRAINING, completed=6, total=10, connected=2, expected=3,
        metrics={"val_accuracy": 0.91, "loss": 0.2},
        clients=[
            ClientInfo(name=f"worker-{n}", shard=f"hospital-{n}-with-a-long-name.zip",
                       state="Training", samples=1200 * n)
            for n in range(3)
        ],
    )  # fmt: skip
    rounds = [
        RoundLine(
            round=n, clients=3, samples=9, seconds=1.0,
            metrics={"val_accuracy": 0.7 + n / 30, "loss": 1 / n, "val_loss": 1.2 / n},
        )
        for n in range(1, 7)
    ]  # fmt: skip
    return run_html(status, rounds)


@pytest.mark.parametrize(
    ("width", "paper", "ink"), [(360, "#ffffff", "#111111"), (1000, "#111111", "#eeeeee")]
)
def test_cell_fits_and_takes_the_notebooks_colours(
    chromium: str,
    site: tuple[str, Path, list[str]],
    tmp_path: Path,
    width: int,
    paper: str,
    ink: str,
) -> None:
    url, folder, asked = site
    page = PAGE.format(width=width, paper=paper, ink=ink, fragment=fragment())
    (folder / "cell.html").write_text(page)
    dom = browse(chromium, tmp_path / "profile", "--dump-dom", f"{url}/cell.html")
    found = re.search(r'<pre id="out">(.*?)</pre>', dom)
    assert found is not None, dom[-2000:]
    measured = json.loads(found[1])
    assert measured["overflow"] <= 0
    assert measured["charts"] == 2
    assert measured["lowest"] > 100
    assert measured["before"] == "16px", "the notebook's own text is left alone"
    red = int(ink[1:3], 16)
    assert measured["text"] == f"rgb({red}, {red}, {red})"
    assert {path for path in asked if "favicon" not in path} == {"/cell.html"}
    shot = tmp_path / "cell.png"
    browse(
        chromium, tmp_path / "shot", f"--screenshot={shot}",
        f"--window-size={width + 40},700", f"{url}/cell.html",
    )  # fmt: skip
    assert shot.stat().st_size > 5000
