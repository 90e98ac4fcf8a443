"""kubectl's YAML reader: a small Go program on sigs.k8s.io/yaml, built once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "kubectl_yaml"


REFUSED = object()
"""Stands for a document that kubectl does not read."""


@dataclass(frozen=True)
class KubectlReader:
    """kubectl's reader.

    Attributes:
        binary: The program.
    """

    binary: Path

    def read(self, documents: Sequence[str]) -> list[Any]:
        """The data of each document as the API server gets it, or REFUSED."""
        asked = "".join(json.dumps(document) + "\n" for document in documents)
        done = subprocess.run(
            [self.binary], input=asked, capture_output=True, check=True, encoding="utf-8"
        )
        answers = [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]
        assert len(answers) == len(documents)
        return [
            REFUSED if "error" in answer else json.loads(answer["json"], parse_int=number)
            for answer in answers
        ]


def number(digits: str) -> int | float:
    """A whole number in JSON as the API server takes it: an int64, else a float64."""
    value = int(digits)
    return value if -(2**63) <= value < 2**63 else float(value)


def build() -> Path:
    """The built program, from the cache where its source is unchanged."""
    files = sorted(path for path in SOURCE.iterdir() if path.is_file())
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    binary = cache / "fedjob-tests" / f"kubectl-yaml-{digest}"
    if not binary.exists():
        scratch = binary.with_suffix(f".{os.getpid()}")
        subprocess.run(["go", "build", "-o", scratch, "."], cwd=SOURCE, check=True)
        scratch.replace(binary)
    return binary


@pytest.fixture(scope="session")
def kubectl_reader() -> KubectlReader:
    """kubectl's reader. Without Go the test is skipped, except in CI, where Go must be there."""
    if shutil.which("go") is None and os.environ.get("CI") != "true":
        pytest.skip("needs Go: https://go.dev/dl")
    return KubectlReader(build())
