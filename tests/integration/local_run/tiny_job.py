"""A job whose result tells how it came about: every round adds exactly 1 to every weight."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from fedjob.engines.local.processes.orphans import RUN_FOLDER, marked

PATIENCE = 300.0

MODEL = """
import os
import time
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.line = nn.Linear(3, num_classes)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)


def fl_train_model(payload):
    env = payload["env"]
    time.sleep(env["pause"])
    while env["CURRENT_ROUND"] > 0 and env["gate"] and not os.path.exists(env["gate"]):
        time.sleep(0.05)
    if env["fail"]:
        raise RuntimeError("the data is upside down")
    weights = {name: tensor + 1 for name, tensor in payload["initial_weights"].items()}
    return {"weights": weights, "samples": 10, "metrics": {"accuracy": 0.5}}
"""


def job(name="tiny", rounds=3, pause=0.0, fail=False, gate="", **sections):
    """`gate`: a path; from the second round on, training waits until it exists."""
    spec = {
        "model": {"source": {"inline": MODEL}, "className": "Net"},
        "training": {"extra": {"pause": pause, "fail": fail, "gate": str(gate)}},
        "federation": {"numRounds": rounds, "minClients": 2, "waitTimeAfterMinReceived": 1},
        "workers": {"gpu": 0},
    }
    for section, values in sections.items():
        spec[section] = spec.get(section, {}) | values
    return {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": name},
        "spec": spec,
    }


def write_job(folder: Path, **options) -> Path:
    path = folder / "job.yaml"
    path.write_text(json.dumps(job(**options)))
    return path


def write_shards(folder: Path, count=2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        with zipfile.ZipFile(folder / f"part-{number}.zip", "w") as archive:
            lines = [{"id": f"s{i}", "uri": f"{i}.txt", "y": i % 3} for i in range(4)]
            text = "\n".join(json.dumps(line) for line in lines)
            archive.writestr("manifest.ndjson", text)
            for i in range(4):
                archive.writestr(f"{i}.txt", "x")
    return folder


def environment(**more):
    env = {name: value for name, value in os.environ.items() if not name.startswith("FEDJOB_")}
    return {
        **env,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
    } | more


def fedjob(*args, python=sys.executable, **popen):
    """Start `fedjob ARGS` as a person would."""
    command = [str(python), "-c", "from fedjob.cli import main; main()", *map(str, args)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | popen
    options.setdefault("env", environment())
    return subprocess.Popen(command, **options)


def finish(process, timeout=PATIENCE):
    """(exit code, stdout, stderr) of a process; killed when it takes too long."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end\n{out}\n{err}") from None
    return process.returncode, out, err


def until(condition, process=None):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended: {process.communicate()}")
        time.sleep(0.1)
    return value


def left(out: Path):
    """Processes that a run in `out` has left."""
    return marked(RUN_FOLDER, str(out.resolve() / ".fedjob"))


def committed(out: Path):
    return sum(p.stem != "0" for p in (out / ".fedjob" / "commits").glob("*.json"))
