"""Shards and jobs of the inputs in tests/field."""

from __future__ import annotations

import io
import json
import random
import runpy
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from support.repository import ROOT

FIELD = ROOT / "tests/field"


def png(seed: int) -> bytes:
    """An image of 8 x 8 random pixels."""
    pixels = random.Random(seed).randbytes(8 * 8 * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (8, 8), pixels).save(out, "PNG")
    return out.getvalue()


def write_shard(path: Path, lines: Sequence[Mapping[str, Any]], files: Mapping[str, bytes]) -> None:
    """A shard with a manifest of `lines`, or without one if there are none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        if lines:
            archive.writestr("manifest.ndjson", "".join(json.dumps(line) + "\n" for line in lines))
        for name, content in files.items():
            archive.writestr(name, content)


def write_images(folder: Path, labels: Mapping[str, Sequence[Any]]) -> None:
    """A shard of images for each file name, one image for each of its labels."""
    for name, values in labels.items():
        uris = [f"images/{i}.png" for i in range(len(values))]
        lines = [
            {"id": f"{name}-{i}", "uri": uri, "y": y}
            for i, (uri, y) in enumerate(zip(uris, values, strict=True))
        ]
        write_shard(folder / name, lines, {uri: png(i) for i, uri in enumerate(uris)})


def write_placeholders(folder: Path, *names: str, y: int = 1) -> None:
    """Shards with one file that is not an image: the training code has data of its own."""
    for name in names:
        write_shard(folder / name, [{"id": "a", "uri": "x.bin", "y": y}], {"x.bin": name.encode()})


def make_shards(name: str, folder: Path) -> Path:
    """Runs make_shards.py of the input `name`; the folder of its ZIPs."""
    runpy.run_path(str(FIELD / name / "make_shards.py"))["make"](folder)
    return folder


def job_text(name: str, *, rounds: int, **spec: Mapping[str, Any]) -> str:
    """The job of the input `name` with fewer rounds, no GPU, and `spec` on top of its sections."""
    job = yaml.safe_load((FIELD / name / "job.yaml").read_text(encoding="utf-8"))
    changes = {"federation": {"numRounds": rounds}, "workers": {"gpu": 0}}
    for section in {**changes, **spec}:
        changed = changes.get(section, {}) | dict(spec.get(section, {}))
        job["spec"][section] = (job["spec"].get(section) or {}) | changed
    return json.dumps(job)


def write_encoded(source: Path, path: Path, encoding: str) -> Path:
    """A copy of a Python file with what an editor of that encoding adds, and Windows' line ends."""
    text = source.read_text(encoding="utf-8")
    head = "# -*- coding: latin-1 -*-\n# Größe\n" if encoding == "latin-1" else "# Größe\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((head + text).replace("\n", "\r\n").encode(encoding))
    return path
