"""What the page says about the job itself, beside its commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """The job as the report names it.

    Attributes:
        name: metadata.name.
        namespace: metadata.namespace.
        state: `Complete`, `Failed`, or what the run is doing.
        reason: From the catalogue of reasons, where the state has one.
        message: What a person should know about the state.
        total_rounds: federation.numRounds.
        class_name: The model class.
        wall_seconds: From start to end; None: from the first commit's start to the last one's end.
        shards: Worker -> file name of its shard, for workers with no accepted answer too.
        settings: More to show as it is, in this order: label -> value.
        generated: When the page was made, RFC 3339; empty: not shown.
    """

    name: str
    state: str
    total_rounds: int
    namespace: str = "default"
    reason: str = ""
    message: str = ""
    class_name: str = ""
    wall_seconds: float | None = None
    shards: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    generated: str = ""
