"""Make the shards of this example: event sequences of three machines, labelled by what happened.

Everything is generated from a fixed seed. A sequence has 16 events of 24 kinds; a fault leaves one
of four short patterns somewhere in it, and the label says which. Each ZIP holds one
`sequences.json`: no manifest.

    machine-0.zip   300 sequences, mostly faults 0 and 1
    machine-1.zip   200 sequences, mostly fault 2
    machine-2.zip   150 sequences, all faults alike
    validation.zip  200 sequences that no worker has

    python examples/lora/make_shards.py [--out DIR]
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shard_files import out_folder, write_zip

KINDS, LENGTH = 24, 16
PATTERNS = ((3, 17, 3), (8, 1, 20), (11, 11, 6), (22, 9, 14))
SHARDS = {
    "machine-0.zip": (300, (4, 4, 1, 1)),
    "machine-1.zip": (200, (1, 1, 6, 1)),
    "machine-2.zip": (150, (1, 1, 1, 1)),
    "validation.zip": (200, (1, 1, 1, 1)),
}


def sequence(rng: random.Random, fault: int) -> list[int]:
    """Random events with the fault's pattern somewhere in them."""
    events = [rng.randrange(KINDS) for _ in range(LENGTH)]
    at = rng.randrange(LENGTH - 2)
    events[at : at + 3] = PATTERNS[fault]
    return events


def main() -> int:
    """Write the four ZIPs."""
    out = out_folder(__file__, __doc__)
    rng = random.Random(24)  # noqa: S311 (made-up data, not a secret)
    for name, (count, shares) in SHARDS.items():
        faults = rng.choices(range(len(PATTERNS)), weights=shares, k=count)
        rows = [{"events": sequence(rng, fault), "fault": fault} for fault in faults]
        write_zip(out / name, {"sequences.json": json.dumps(rows).encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
