"""Measures what each kind of hostile input takes; prints the table of docs/concepts/bombs.md.

Every kind runs in a process of its own: `python -m support.bombs.measure` for all, with a name for
one. An input's peak is the highest resident memory while it is handled, by the kernel's own count,
which is reset before.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from support.bombs import kinds

ROOT = Path(__file__).parents[3]
OPERATOR_MIB = 256
"""Resident memory of a process that handles the input with code of operator or supervisor."""
GROWTH_MIB = {"images": 768, "worker_answers": 256, "worker_metrics": 64}
"""More resident memory, where torch is imported; an image of 64 million pixels has 192 MB, and is
held as RGBA, as RGB and turned while it is decoded."""
OWN_ERRORS = frozenset({"worker_answers"})
"""Kinds whose caller takes every error for a bad answer (`result_receiver`)."""
KINDS = (
    "shard_zips",
    "unpacked_shards",
    "manifest_lines",
    "author_files",
    "model_sources",
    "registry_documents",
    "registry_answers",
    "store_answers",
    "round_logs",
    "server_statuses",
    "images",
    "worker_metrics",
    "worker_answers",
)


@dataclass(frozen=True)
class Measured:
    """What a kind took.

    Attributes:
        kind: Its name.
        inputs: How many were tried.
        refused: How many raised an error of their own kind or were answered with one.
        unknown: Errors that are not fedjob's own, as `input: error`; empty where there are none.
        before_mib: Resident memory before the first.
        peak_mib: The highest while one was handled.
        worst: The input that took it.
    """

    kind: str
    inputs: int
    refused: int
    unknown: list[str]
    before_mib: int
    peak_mib: int
    worst: str

    @property
    def bound_mib(self) -> int:
        """What it may take at most."""
        growth = GROWTH_MIB.get(self.kind)
        return OPERATOR_MIB if growth is None else self.before_mib + growth


def _status_mib(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) >> 10
    raise KeyError(name)


def measure_here(kind: str) -> Measured:
    """Measures a kind in this process, which should have done nothing else."""
    from fedjob.errors import FedjobError

    inputs = refused = peak = before = 0
    unknown, worst = [], ""
    for name, call in getattr(kinds, kind)():
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = before or _status_mib("VmRSS")
        inputs += 1
        try:
            call()
        except FedjobError:
            refused += 1
        except Exception as error:  # noqa: BLE001 (what is found is reported)
            refused += 1
            if kind not in OWN_ERRORS:
                unknown.append(f"{name}: {error!r}"[:200])
        found = _status_mib("VmHWM")
        if found > peak:
            peak, worst = found, name
        del call
    return Measured(kind, inputs, refused, unknown, before, peak, worst)


def measure(kind: str) -> Measured:
    """Measures a kind in a process of its own."""
    command = [sys.executable, "-m", "support.bombs.measure", kind]
    # One arena: several of them keep freed memory by chance.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def table(found: list[Measured]) -> str:
    """The table, in Markdown."""
    lines = [
        "| kind | inputs | refused | before, MiB | peak, MiB | bound, MiB | worst input |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.kind} | {each.inputs} | {each.refused} | {each.before_mib} | {each.peak_mib} | "
        f"{each.bound_mib} | {each.worst} |"
        for each in found
    ]
    return "\n".join(lines)


def main() -> int:
    """Prints one kind's result as JSON, or all as a table; 1 where one is beyond its bound."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(asdict(measure_here(sys.argv[1]))) + "\n")
        return 0
    found = [measure(kind) for kind in KINDS]
    sys.stdout.write(table(found) + "\n")
    for each in found:
        for text in each.unknown:
            sys.stdout.write(f"{each.kind}: not refused by name: {text}\n")
    over = [each.kind for each in found if each.peak_mib > each.bound_mib]
    return 1 if over or any(each.unknown for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
