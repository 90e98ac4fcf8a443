"""What to do about an exception of the author's code, by its kind and its text."""

from __future__ import annotations

import re
from pathlib import Path

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.data.shard_files import elsewhere
from fedjob_runtime.training.user_code.traceback_text import Raised

_IMPORTS = {
    "nn": "import torch.nn as nn",
    "F": "import torch.nn.functional as F",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "optim": "import torch.optim as optim",
    "Image": "from PIL import Image",
    "Path": "from pathlib import Path",
    "DataLoader": "from torch.utils.data import DataLoader",
    "Dataset": "from torch.utils.data import Dataset",
}

_UNREACHABLE = frozenset(
    [
        "URLError",
        "HTTPError",
        "ConnectionError",
        "ConnectTimeout",
        "MaxRetryError",
        "NameResolutionError",
        "gaierror",
        "NewConnectionError",
        "ProxyError",
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
        "ConnectError",
        "ClientConnectorError",
        "HfHubHTTPError",
    ]
)
"""Of urllib, urllib3, requests, httpx, aiohttp, socket and huggingface_hub."""
_HUB = re.compile(r"couldn't connect to '?https?://|offline mode is enabled|name resolution", re.I)


def fix_of(raised: Raised, context: TrainingContext | None = None) -> str:
    """What to do.

    Args:
        raised: The root cause.
        context: The round in which it was raised; None at import and construction.
    """
    for rule in (_names, _exits, _layers, _network):
        fix = rule(raised)
        if fix:
            return fix
    missing = _missing_file(raised)
    if missing and context:
        return _about_file(missing, context)
    return "correct it there and submit the job again"


def _names(raised: Raised) -> str | None:
    name = _quoted(raised, "NameError", r"name '(\w+)'")
    if name:
        return f"define `{name}` or add `{_IMPORTS.get(name, f'import {name}')}` to the same file"
    module = _quoted(raised, "ModuleNotFoundError", r"No module named '([\w.]+)'")
    if module:
        package = module.split(".")[0]
        return (
            f"if {package}.py is a file of your own, ship it beside model_def.py "
            "(--model-file DIR, or spec.model.files); otherwise add the package that holds "
            f"`{package}` to spec.model.requirements"
        )
    return None


def _exits(raised: Raised) -> str | None:
    if raised.kind not in ("SystemExit", "KeyboardInterrupt"):
        return None
    if any(Path(file).name == "argparse.py" for file, _, _ in raised.frames):
        return (
            "read no command line in code that the job runs: put parse_args() below "
            '`if __name__ == "__main__":` and take values from env (spec.training.extra)'
        )
    return "return a dict instead of leaving the process"


def _layers(raised: Raised) -> str | None:
    if "Expected more than 1 value per channel when training" in raised.summary:
        return (
            "BatchNorm cannot train on a batch of one sample: use DataLoader(drop_last=True) or "
            "another batch_size, or nn.GroupNorm in the model"
        )
    if "uninitialized parameter" in raised.summary.lower():
        return (
            "a lazy layer gets its shape at the first batch: give it its input size, such as "
            "nn.Linear(128, 10) for nn.LazyLinear(10)"
        )
    return None


def _network(raised: Raised) -> str | None:
    if raised.kind not in _UNREACHABLE and not _HUB.search(raised.summary):
        return None
    return (
        "this process cannot reach that host: download the file beforehand, and give it as "
        "spec.model.checkpoint or put it into the shards"
    )


def _missing_file(raised: Raised) -> str | None:
    return _quoted(raised, "FileNotFoundError", r"No such file or directory: '(.*)'")


def _about_file(missing: str, context: TrainingContext) -> str:
    """CONTRACT row 27: where the file was found, and where it must be."""
    name = Path(missing).name
    shard = context.shard_name or "the shard"
    found = elsewhere(context.data_root, name)
    must = f"; it must be at the root of {shard}" if name == context.manifest_file else ""
    if found:
        return f"{shard} has it at {found}{must}: correct the path, or zip the folder's contents"
    return (
        f"{shard} has no {name}{must}: add it. Relative paths start at the shard's folder, which "
        "is the working directory"
    )


def _quoted(raised: Raised, kind: str, pattern: str) -> str | None:
    found = re.search(pattern, raised.summary) if raised.kind == kind else None
    return found[1] if found else None
