"""A manifest of a million lines is read in constant memory (issue 3), in a real process."""

import subprocess
import sys

PROGRAM = """
import resource
from fedjob.workspace.shard.manifest import scan_manifest

def lines(count):
    for i in range(count):
        yield b'{"id": "sample-%d", "uri": "images/%d.png", "y": %d}\\n' % (i, i, i % 5000)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

scan_manifest(lines(120_000), "warm")  # the ids that are remembered fill up
before = peak()
summary = scan_manifest(lines(1_000_000), "shard")
print(summary.samples, summary.max_label, before, peak())
"""


def test_a_million_lines_take_no_more_memory_than_the_first_hundred_thousand():
    """Row 21 reads all of them; 10 MiB of slack for the allocator, where the lines have 60 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    samples, largest, before, after = map(int, done.stdout.split())
    assert (samples, largest) == (1_000_000, 4999)
    assert after - before < 10 * 1024  # KiB
