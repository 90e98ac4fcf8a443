from pathlib import Path

from support.field_shards import write_shard


def make(folder: Path) -> None:
    for name in ("s0.zip", "s1.zip"):
        write_shard(folder / name, [], {"train.csv": b"a,b\n"})
