"""What the examples' make_shards.py share: ZIPs that are the same bytes each time."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a ZIP that depends on its content only: fixed times, modes and order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    print(f"{path}: {len(files)} files, {path.stat().st_size:,} bytes")


def out_folder(script: str, description: str) -> Path:
    """The folder that --out names; by default `shards` beside the script."""
    default = Path(script).resolve().parent / "shards"
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--out", type=Path, default=default, help=f"folder to write to ({default})")
    out: Path = parser.parse_args().out
    return out
