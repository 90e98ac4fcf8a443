"""The fault matrix on the project's cluster: `make chaos`.

    python tests/chaos/run.py [--repeat 5] [--only TEXT ...] [--at-once 3] [--out out/chaos]

Faults that hit only a job's own pods run several jobs in parallel, the others run alone. Prints a
table, writes results.json and table.md, and exits with 1 if anything was lost. Takes two and a half
hours: Kubernetes needs 50 s to notice a lost node and 80 s to give it up.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("tests", "sdk", "operator", "images/runtime")]

from chaos import out_of_memory, split_brain, table  # noqa: E402 (after the path)
from chaos.deployment import ChaosDeployment  # noqa: E402
from chaos.faults import FAULTS, Fault, Phase  # noqa: E402
from chaos.matrix import Outcome, strike_in_rounds, strike_to_the_end  # noqa: E402
from chaos.nodes import unpause_all  # noqa: E402

Part = Callable[[], Outcome]


def parts(deployment: ChaosDeployment, fault: Fault, number: int, repeat: int) -> list[Part]:
    """The jobs that test one fault."""
    once = [p for p in Phase if p not in (Phase.MID_ROUND, Phase.BETWEEN)]
    # After a lasting fault, a short job has no time left for the next strike.
    groups = [[phase] for phase in once[1:]] if fault.lasting else [once]
    if fault.reset is not None:
        groups = [[phase] for phase in once]
    if fault.repeat is not None:
        groups = []
    middle = [(fault, Phase.MID_ROUND)] * (fault.repeat or repeat)
    plan = middle + [(fault, Phase.BETWEEN)] * (fault.repeat is None)
    made: list[Part] = [partial(strike_in_rounds, deployment, plan, f"r{number}")]
    for index, phases in enumerate(groups):
        made.append(partial(strike_to_the_end, deployment, fault, f"e{number}-{index}", phases))
    return made


def main() -> int:
    """Runs the fault matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="strikes in the middle of a round")
    parser.add_argument("--only", action="append", default=[], help="only faults with this text")
    parser.add_argument("--at-once", type=int, default=3, help="jobs in parallel")
    parser.add_argument("--out", type=Path, default=ROOT / "out/chaos")
    given = parser.parse_args()
    chosen = [f for f in FAULTS if not given.only or any(t in f.name for t in given.only)]
    given.out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    lock = threading.Lock()

    def run(part: Part) -> None:
        outcome = part()
        with lock:
            outcomes.append(outcome)
            (given.out / "results.json").write_text(
                json.dumps([o.as_json() for o in outcomes], indent=1)
            )
        took = ", ".join(
            f"{s.phase} {s.seconds:.1f} s" if s.seconds is not None else f"{s.phase} NEVER"
            for s in outcome.strikes
        )
        print(f"{outcome.fault}: {took}  {'; '.join(outcome.wrong) or 'nothing lost'}", flush=True)

    deployment = ChaosDeployment(Path(tempfile.mkdtemp()))
    try:
        deployment.set_up()
        deployment.start()
        all_parts = [(f, parts(deployment, f, n, given.repeat)) for n, f in enumerate(chosen)]
        beside = [part for fault, made in all_parts if not fault.alone for part in made]
        if not given.only or any("memory" in text for text in given.only):
            beside += out_of_memory.parts(deployment, given.repeat)
        with ThreadPoolExecutor(given.at_once) as pool:
            list(pool.map(run, beside))
        for fault, made in all_parts:
            for part in made if fault.alone else []:
                run(part)
        if not given.only or any("split" in text for text in given.only):
            for number in range(given.repeat):
                run(partial(split_brain.split_brain, deployment, f"split-{number}"))
    finally:
        unpause_all()
        deployment.tear_down()
    results = [o.as_json() for o in outcomes]
    text = f"{table.matrix(results)}\n\n{table.figures(results)}\n"
    (given.out / "table.md").write_text(text)
    print(f"\n{text}")
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
