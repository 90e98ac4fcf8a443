"""What a model file imports, and which import a well-known name asks for."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator

KNOWN_IMPORTS = {
    "nn": "import torch.nn as nn",
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
    "Tensor": "from torch import Tensor",
    "optim": "import torch.optim as optim",
    "Module": "from torch.nn import Module",
    "Adam": "from torch.optim import Adam",
    "AdamW": "from torch.optim import AdamW",
    "SGD": "from torch.optim import SGD",
    "DataLoader": "from torch.utils.data import DataLoader",
    "Dataset": "from torch.utils.data import Dataset",
    "TensorDataset": "from torch.utils.data import TensorDataset",
    "Subset": "from torch.utils.data import Subset",
    "random_split": "from torch.utils.data import random_split",
    "torchvision": "import torchvision",
    "transforms": "from torchvision import transforms",
    "models": "from torchvision import models",
    "datasets": "from torchvision import datasets",
    "np": "import numpy as np",
    "numpy": "import numpy",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "Image": "from PIL import Image",
    "PIL": "import PIL",
    "cv2": "import cv2",
    "sklearn": "import sklearn",
    "tqdm": "from tqdm import tqdm",
    "safetensors": "import safetensors",
    "Path": "from pathlib import Path",
    "Any": "from typing import Any",
    "Callable": "from collections.abc import Callable",
    "Iterable": "from collections.abc import Iterable",
    "Iterator": "from collections.abc import Iterator",
    "Sequence": "from collections.abc import Sequence",
    "Mapping": "from collections.abc import Mapping",
    "Optional": "from typing import Optional",
    "Union": "from typing import Union",
    "List": "from typing import List",
    "Dict": "from typing import Dict",
    "Tuple": "from typing import Tuple",
    "OrderedDict": "from collections import OrderedDict",
    "defaultdict": "from collections import defaultdict",
    "Counter": "from collections import Counter",
    "dataclass": "from dataclasses import dataclass",
    "partial": "from functools import partial",
    "reduce": "from functools import reduce",
    "deepcopy": "from copy import deepcopy",
    "datetime": "from datetime import datetime",
    "ABC": "from abc import ABC",
    "Enum": "from enum import Enum",
    "sqrt": "from math import sqrt",
    **{
        module: f"import {module}"
        for module in (
            *("os", "sys", "io", "re", "json", "math", "time", "random", "copy", "csv", "glob"),
            *("logging", "shutil", "pathlib", "typing", "itertools", "functools", "collections"),
            *("dataclasses", "warnings", "pickle", "hashlib", "gc", "zipfile", "tempfile"),
            *("contextlib", "statistics", "string", "struct", "threading", "subprocess", "uuid"),
        )
    },
}
"""Name to the statement that the community writes for it."""

_NOTEBOOK_ONLY = frozenset({"display", "get_ipython", "In", "Out"})

RUNTIME_MODULES = frozenset({"torch", "numpy", "PIL", "nvflare", "safetensors", "fedjob_runtime"})
"""What every server and worker has, beside the standard library."""

_MODULE_OF_DISTRIBUTION = {
    "scikit_learn": ("sklearn",),
    "scikit_image": ("skimage",),
    "opencv_python": ("cv2",),
    "opencv_python_headless": ("cv2",),
    "pillow": ("PIL",),
    "pyyaml": ("yaml",),
    "python_dateutil": ("dateutil",),
    "beautifulsoup4": ("bs4",),
    "protobuf": ("google",),
    "pytorch_lightning": ("pytorch_lightning", "lightning"),
    "efficientnet_pytorch": ("efficientnet_pytorch",),
    "segmentation_models_pytorch": ("segmentation_models_pytorch",),
    "attrs": ("attr", "attrs"),
    "simpleitk": ("SimpleITK",),
}


def fix_for(name: str, file: str = "the same file") -> str:
    """What to write so that `name` is defined."""
    if name in KNOWN_IMPORTS:
        return f"add `{KNOWN_IMPORTS[name]}` to {file}"
    if name in _NOTEBOOK_ONLY:
        return f"remove `{name}`: it is there in notebooks only"
    return f"define or import `{name}` in {file}: nothing outside of it is sent to the workers"


def imported_modules(tree: ast.Module) -> tuple[str, ...]:
    """The top-level modules imported anywhere in the file, sorted; relative imports left out."""
    return tuple(sorted({name for name, _ in imports_of(tree)}))


def missing_modules(
    tree: ast.Module, requirements: Collection[str], shipped: Collection[str] = ()
) -> tuple[str, ...]:
    """Imported modules that a worker will not have, sorted.

    Not counted: an import inside `try: ... except ImportError` or `if TYPE_CHECKING`.

    Args:
        tree: The model file.
        requirements: `model.requirements`, as pip takes them.
        shipped: Top-level modules and packages that are shipped beside the file.
    """
    there = RUNTIME_MODULES | sys.stdlib_module_names | {"__future__"} | set(shipped)
    for requirement in requirements:
        there |= modules_of(requirement)
    lower = {name.lower() for name in there}
    needed = {name for name, optional in imports_of(tree) if not optional}
    return tuple(sorted(name for name in needed if name.lower() not in lower))


def relative_imports(tree: ast.Module) -> tuple[int, ...]:
    """Lines that import from a package around the file."""
    return tuple(
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
    )


def modules_of(requirement: str) -> set[str]:
    """Top-level modules that a requirement, as pip takes it, is likely to bring."""
    text = requirement.split(" --hash")[0].strip()
    if text.endswith(".whl"):
        text = text.rpartition("/")[2].partition("-")[0]  # a wheel's name begins with its package's
    match = re.match(r"[A-Za-z0-9._-]+", text)
    if match is None:
        return set()
    name = re.sub(r"[-_.]+", "_", match.group()).lower()
    return set(_MODULE_OF_DISTRIBUTION.get(name, (name,)))


def imports_of(tree: ast.Module, *, dotted: bool = False) -> Iterator[tuple[str, bool]]:
    """(module, whether the file does without it), for every import but relative ones.

    Args:
        tree: The file.
        dotted: Give `a.b` of `import a.b`, and `a.b` of `from a import b` (which may be a module)
            beside `a`; otherwise `a` alone.
    """
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, optional = pending.pop()
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        if dotted:
            yield from ((name, optional) for name in names)
        elif names:
            top = names if isinstance(node, ast.Import) else names[:1]
            yield from ((name.partition(".")[0], optional) for name in top)
        guarded = optional or _is_optional(node)
        pending.extend((child, guarded) for child in ast.iter_child_nodes(node))


def _is_optional(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if not isinstance(node, ast.Try):
        return False
    caught = " ".join(ast.unparse(h.type) if h.type else "Exception" for h in node.handlers)
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))
