"""What a pod is started with, hashed: a pod whose configuration changed is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedjob_operator.naming import digest_of
from fedjob_operator.state.pod_status import PodView


@dataclass(frozen=True, slots=True)
class PodConfig:
    """The configuration of a pod.

    Attributes:
        parts: Each part by the name that a user knows it by. The hash depends on the values and on
            their order: changing either replaces every running pod after an operator upgrade.
    """

    parts: Mapping[str, object]

    @property
    def digest(self) -> str:
        """Hash of the whole configuration."""
        return digest_of(list(self.parts.values()))

    @property
    def part_digests(self) -> dict[str, str]:
        """Hash of each part, by name."""
        return {name: digest_of(value) for name, value in self.parts.items()}

    def changed(self, pod: PodView) -> tuple[bool, str]:
        """Whether a pod was started with another configuration, and what changed."""
        if pod.config == self.digest:
            return False, ""
        mine = self.part_digests
        names = [name for name in mine if pod.config_parts.get(name) != mine[name]]
        if not pod.config_parts or not names:
            return True, "its configuration changed"
        return True, f"{' and '.join(names)} changed"
