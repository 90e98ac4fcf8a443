"""Whether an object of ours is as we want it. Pure."""

from __future__ import annotations

from typing import Any

from fedjob_operator.naming import DIGEST, Body, annotation
from fedjob_operator.state.observed import ChildKey


def key_of(body: Body) -> ChildKey:
    """Kind and name."""
    return body["kind"], body["metadata"]["name"]


def drifted(want: Body, have: Body | None) -> bool:
    """Whether it is there and differs: a field that we set, or one that we do not set any more."""
    if have is None:
        return False
    return annotation(want, DIGEST) != annotation(have, DIGEST) or not subset(want, have)


def subset(want: Any, have: Any) -> bool:
    """Whether every field that we set has our value; what others added is theirs."""
    if isinstance(want, dict):
        return isinstance(have, dict) and all(
            key in have and subset(value, have[key]) for key, value in want.items()
        )
    if isinstance(want, list):
        same = isinstance(have, list) and len(want) == len(have)
        return same and all(map(subset, want, have))
    return bool(want == have)
