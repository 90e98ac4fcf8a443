"""Job processes import torch without collecting garbage, and collect as usual afterwards."""

import ast
import subprocess
import sys
from pathlib import Path

import fedjob_runtime

RUNTIME = Path(fedjob_runtime.__file__).parent
ENTRIES = ["worker/tensors", "worker/executor", "server/controller", "server/persistor"]

PROGRAM = """
import gc, sys
passes = []  # since torch is there: before it, our own modules may be compiled
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


def test_nothing_is_collected_meanwhile_and_what_is_there_is_permanent():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    meanwhile, afterwards, frozen = done.stdout.split()
    assert (meanwhile, afterwards) == ("0", "True")
    assert int(frozen) > 100_000


def test_whatever_nvflare_loads_first_imports_torch_so():
    for entry in ENTRIES:
        tree = ast.parse((RUNTIME / f"{entry}.py").read_text())
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert ast.unparse(imports[0]) == "from __future__ import annotations"
        assert ast.unparse(imports[1]) == "import fedjob_runtime.processes.torch_import", entry
