"""The tag of a job's image: a hash of all that is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable


def image_tag(
    base_digest: str, layer_digest: str, requirements: Iterable[str] = (), dockerfile: str = ""
) -> str:
    """Names an image by content: the same inputs, the same tag, and nobody needs to remember it.

    Args:
        base_digest: Of the base's manifest for the nodes' platform.
        layer_digest: Of the job folder's layer.
        requirements: What pip installs; their order does not matter.
        dockerfile: The rendered Dockerfile, so that a new fedjob with another recipe builds anew;
            empty for an appended layer.

    Returns:
        `job-` and 128 bits in hexadecimal.
    """
    content = json.dumps([base_digest, layer_digest, sorted(set(requirements)), dockerfile])
    return f"job-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
