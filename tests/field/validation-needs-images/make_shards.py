from pathlib import Path

from support.field_shards import write_placeholders


def make(folder: Path) -> None:
    write_placeholders(folder, "s0.zip", "v.zip")
