"""Job processes import torch without collecting garbage, and collect as usual afterwards."""

import ast
import subprocess
import sys
from pathlib import Path

import fedjob_runtime

RUNTIME = Path(fedjob_runtime.__file__).parent
ENTRIES = [
    "worker/tensor_codec",
    "worker/executor",
    "server/job_process/controller",
    "server/job_process/persistor",
    "server/job_process/main",
]

PROGRAM = """
import gc, sys
passes = []  # since the import of torch began: before it, our own modules may be compiled
gc.callbacks.append(lambda *_: passes.append(1) if "torch" in sys.modules else None)
import fedjob_runtime.processes.torch_import
seen = len(passes)
assert gc.isenabled()
assert gc.get_threshold()[0] > 0
things = []
for _ in range(100_000):
    things.append([])
print(seen, len(passes) > seen, gc.get_freeze_count())
"""


def test_nothing_is_collected_during_the_import_and_the_modules_are_frozen():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    meanwhile, afterwards, frozen = done.stdout.split()
    assert (meanwhile, afterwards) == ("0", "True")
    assert int(frozen) > 100_000


def test_every_entry_of_a_job_process_imports_torch_this_way():
    for entry in ENTRIES:
        tree = ast.parse((RUNTIME / f"{entry}.py").read_text())
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert ast.unparse(imports[0]) == "from __future__ import annotations"
        assert ast.unparse(imports[1]) == "import fedjob_runtime.processes.torch_import", entry
