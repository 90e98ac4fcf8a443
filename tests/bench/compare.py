"""fedjob beside NVFlare by hand, in one run: `python tests/bench/compare.py`.

Both train the same models with two clients over mTLS on loopback, in turns. Prints tables; asserts
nothing about time. What is compared, and what is not: docs/contributing/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # tests/, for federation.py

import fedjob_run
import machine
import nvflare_run
import tables
from cases import Case
from run_figures import RunFigures

RUN_SECONDS = 300.0
"""No run is waited for longer."""

Run = Callable[[Path, Case, float], RunFigures]
RUNS: dict[str, Run] = {
    "fedjob": fedjob_run.run,
    "NVFlare": partial(nvflare_run.run, tuned=False),
    "NVFlare tuned": partial(nvflare_run.run, tuned=True),
}


def main() -> None:
    """The command."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended
    cases = [
        Case("small", 4, 2_500, options.rounds or (4 if options.quick else 10)),
        Case(
            "large", 10, options.megabytes * 25_000, options.rounds or (3 if options.quick else 5)
        ),
    ]
    began = datetime.now(UTC)
    runs, loads = _measure(cases, options.runs or (1 if options.quick else 3))
    command = shlex.join(["python", "tests/bench/compare.py", *sys.argv[1:]])
    facts = {
        "command": command,
        "began": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds()),
        "machine": machine.description(),
        "versions": machine.versions(),
        "load": {"least": min(loads), "most": max(loads)},
    }
    print(_heading(facts))
    print(tables.comparison(runs, cases), end="\n\n")
    print(tables.way_to_first_round(runs, cases[0]))
    if options.json:
        each = [{**run.as_json(), "load": load} for run, load in zip(runs, loads, strict=False)]
        document = {**facts, "runs": each}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def _measure(cases: list[Case], turns: int) -> tuple[list[RunFigures], list[float]]:
    """Every run, systems in turns, and the machine's load before each and after the last."""
    runs: list[RunFigures] = []
    loads = [machine.load()]
    for turn in range(turns):
        for case in cases:
            for system, run in RUNS.items():
                _say(f"run {turn + 1}, {case.name} model, {system} (load {loads[-1]:.1f}) ...")
                # NVFlare's admin API searches the working directory with all below it for a file:
                # for both sides that is an empty one.
                with (
                    tempfile.TemporaryDirectory(prefix="fedjob-bench-") as folder,
                    contextlib.chdir(folder),
                ):
                    os.sync()  # what the run before wrote is not this one's to wait for
                    runs.append(run(Path(folder) / "run", case, RUN_SECONDS))
                loads.append(machine.load())
                _say(f"  first round {runs[-1].first:.1f} s, then {runs[-1].a_round:.2f} s a round")
    return runs, loads


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="rounds of a run, at least 2; default 10 and 5")
    parser.add_argument("--runs", type=int, help="runs of each, of which medians are taken: 3")
    parser.add_argument("--quick", action="store_true", help="one run of each, fewer rounds")
    parser.add_argument("--megabytes", type=int, default=100, help="size of the large model: 100")
    parser.add_argument("--json", type=_absolute, help="write every figure of every run here")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 2:
        parser.error("--rounds must be at least 2: the first is not counted")
    return options


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _heading(facts: dict[str, object]) -> str:
    lines = ["", *(f"{name}: {_shown(value)}" for name, value in facts.items()), ""]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return str(value)


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
