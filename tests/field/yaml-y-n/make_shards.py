from pathlib import Path

from support.field_shards import write_images


def make(folder: Path) -> None:
    write_images(folder, {"a.zip": [0, 1, 2]})
