"""The report in a real browser: it fits a phone, asks for nothing, and runs without a script."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedjob.protocol.commit import ClientFailure, Commit, Participant, RoundTimes
from fedjob.report import JobFacts, build

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
# Read from outside: the page's policy forbids scripts, so the page around it measures it.
WRAPPER = """<!DOCTYPE html><title>measure</title><body style="margin:0">
<iframe id="f" src="report.html"
style="width:{width}px;height:3000px;border:0"></iframe><pre id="out"></pre><script>
document.getElementById("f").onload = (event) => {{
  const view = event.target.contentWindow, page = view.document.documentElement;
  const charts = [...view.document.querySelectorAll("svg")].map((svg) =>
    svg.getBoundingClientRect());
  document.getElementById("out").textContent = JSON.stringify({{
    inner: view.innerWidth, scroll: page.scrollWidth, charts: charts.length,
    widest: Math.max(...charts.map((box) => box.right)),
    lowest: Math.min(...charts.map((box) => box.height)),
  }});
}};</script>"""


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser, which tests/setup-chromium.sh installs; in CI its absence is a failure."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("no Chromium on PATH; run tests/setup-chromium.sh")
    pytest.skip("no Chromium on PATH; tests/setup-chromium.sh installs it where apt is there")


class Recorder(http.server.SimpleHTTPRequestHandler):
    """Serves the test's folder and notes what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """(URL, folder, paths asked for) of a server on this machine."""
    asked: list[str] = []
    handler = type("Handler", (Recorder,), {"asked": asked})
    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *args: handler(*args, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", folder, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def browse(chromium: str, profile: Path, *arguments: str) -> str:
    """Runs the browser headless, without any network but this machine; returns what it printed."""
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-dev-shm-usage", f"--user-data-dir={profile}", "--virtual-time-budget=5000"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commits(rounds: int, workers: int, name: str = "worker") -> list[Commit]:
    """Rounds 0..rounds with a failure and a warning in each."""
    return [
        Commit(
            round=n,
            attempt=1,
            sha256=f"{n:064x}",
            size=41904,
            participants=[
                Participant(
                    name=f"{name}-{i}", samples=100 + i, seconds=1 + i / 9, warnings=["hm " * 40]
                )
                for i in range(workers)
            ],
            failures=[
                ClientFailure(name=f"{name}-x", reason="NonFiniteWeights", message="y" * 300)
            ],
            metrics={"val_accuracy": n / (n + 1), "accuracy": n / (n + 2), "val_loss": 1 / (n + 1)},
            times=RoundTimes(train=1, aggregate=0.1, evaluate=0.2, commit=0.1, total=1.6),
            started="2026-11-24T10:00:00Z",
            ended="2026-11-24T10:01:00Z",
        )
        for n in range(rounds + 1)
    ]


LONG = "n" * 40
CASES = {
    "demo": build(JobFacts(name="digits", state="Complete", total_rounds=5), commits(5, 3)),
    "one round": build(JobFacts(name="digits", state="Complete", total_rounds=1), commits(1, 1)),
    "1000 rounds": build(
        JobFacts(name="digits", state="Training", total_rounds=2000), commits(1000, 5)
    ),
    "long names": build(
        JobFacts(
            name=LONG,
            namespace="s" * 63,
            state="Failed",
            reason="R" * 60,
            message="m" * 500,
            class_name="C" * 100,
            total_rounds=10000,
            settings={"k" * 100: "v" * 400},
            shards={f"{LONG}-0": "z" * 128},
        ),
        commits(3, 9, LONG),
        {"NonFiniteWeights": "t" * 400},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window_and_nothing_else_is_fetched(
    case: str, width: int, chromium: str, site: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    url, folder, asked = site
    (folder / "report.html").write_text(CASES[case], encoding="utf-8")
    (folder / "measure.html").write_text(WRAPPER.format(width=width), encoding="utf-8")
    page = browse(chromium, tmp_path / "profile", "--dump-dom", f"{url}/measure.html")
    measured = re.search(r'<pre id="out">\{(.*?)\}</pre>', page)
    assert measured, page[-2000:]
    found = dict(re.findall(r'"(\w+)":"?([^",]+)', measured[1]))
    assert int(found["inner"]) == width
    assert int(found["scroll"]) <= width
    assert int(found["charts"]) >= 4
    assert float(found["widest"]) <= width
    assert float(found["lowest"]) > 20
    assert set(asked) <= {"/measure.html", "/report.html", "/favicon.ico"}


def test_light_and_dark_differ(
    chromium: str, site: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    url, folder, _ = site
    (folder / "report.html").write_text(CASES["demo"], encoding="utf-8")
    shots = []
    for scheme in (0, 1):  # 0 is dark, 1 is light
        shot = tmp_path / f"{scheme}.png"
        browse(
            chromium,
            tmp_path / "profile",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={shot}",
            "--window-size=1200,900",
            f"{url}/report.html",
        )
        shots.append(mean_grey(shot))
    assert shots[0] < 80
    assert shots[1] > 200


def mean_grey(path: Path) -> float:
    """0 is black, 255 is white."""
    from PIL import Image, ImageStat

    with Image.open(path) as image:
        return float(ImageStat.Stat(image.convert("L")).mean[0])
