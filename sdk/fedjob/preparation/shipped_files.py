"""Which files beside model_def.py the resource holds, and which travel beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedjob.spec.models.model import MAX_TEXT, ModelFile

MOST_INLINE = 64
"""Items of spec.model.files."""


@dataclass(frozen=True, slots=True)
class ShippedFiles:
    """Files beside model_def.py, by how they travel.

    Attributes:
        inline: In the resource itself: text that fits into it.
        attached: Beside the resource: content by path.
    """

    inline: list[ModelFile] = field(default_factory=list)
    attached: dict[str, bytes] = field(default_factory=dict)


def shipped(
    files: Mapping[str, bytes], most: int = MAX_TEXT, items: int = MOST_INLINE
) -> ShippedFiles:
    """Small texts go into the resource; binary files, and text beyond its limit, beside it.

    Args:
        files: Content by path relative to model_def.py.
        most: Characters that the resource takes in all.
        items: Files that the resource takes.
    """
    result = ShippedFiles()
    left = most
    for path, content in sorted(files.items(), key=lambda item: (len(item[1]), item[0])):
        text = _text(content)
        if text is None or len(text) > left or len(result.inline) >= items:
            result.attached[path] = content
        else:
            left -= len(text)
            result.inline.append(ModelFile(path=path, text=text))
    result.inline.sort(key=lambda file: file.path)
    return result


def _text(content: bytes) -> str | None:
    """As YAML can hold it, byte by byte; None for anything else."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return (
        text if all(character.isprintable() or character in "\n\t" for character in text) else None
    )
