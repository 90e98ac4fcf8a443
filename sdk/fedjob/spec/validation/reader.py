"""Reads values of a job that may be faulty, for the rules over several fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from fedjob.spec.yaml import Path

T = TypeVar("T")


class UnreadableError(LookupError):
    """A value that a rule needs is faulty itself: that is reported, the rule is not tried."""


class Reader:
    """A job as plain data, by outside (camelCase) names, with the places known to be faulty.

    Args:
        data: The whole object; anything may be missing or of a wrong type.
        faulty: Paths whose values were refused.
    """

    def __init__(self, data: Mapping[str, Any], faulty: Iterable[Path] = ()) -> None:
        self._data = data
        self._faulty = frozenset(faulty)

    def get(self, path: Path, kind: type[T], default: T | None = None) -> T | None:
        """The value at `path`, or `default` where it, or a section above it, is absent or null.

        Raises:
            UnreadableError: If the value, or what should hold it, was refused or is not a `kind`.
        """
        node: Any = self._data
        for depth, key in enumerate(path):
            if path[: depth + 1] in self._faulty:
                raise UnreadableError(path)
            if isinstance(node, list) and isinstance(key, int):
                node = node[key]
            elif isinstance(node, Mapping):
                node = node.get(str(key))
            else:
                raise UnreadableError(path)
            if node is None:
                return default
        if not isinstance(node, kind):
            raise UnreadableError(path)
        return node

    def has(self, path: Path) -> bool:
        """Whether there is a readable value at `path`."""
        return self.get(path, object) is not None

    def size(self, path: Path) -> int:
        """Items of the list at `path`; 0 where it is absent."""
        return len(self.get(path, list, []) or [])
