import unicodedata
from pathlib import Path

from support.field_shards import png, write_shard


def make(folder: Path) -> None:
    name = "images/\u00e9.png"
    files = {unicodedata.normalize("NFD", name): png(1)}
    write_shard(folder / "a.zip", [{"id": "a", "uri": name, "y": 0}], files)
