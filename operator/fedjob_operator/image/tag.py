"""The tag of a job's image: a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable


def image_tag(
    base_digest: str, layer_digest: str, requirements: Iterable[str] = (), dockerfile: str = ""
) -> str:
    """The tag of an image by its content: equal inputs give equal tags, without any stored state.

    Args:
        base_digest: Digest of the base's manifest for the nodes' platform.
        layer_digest: Digest of the job folder's layer.
        requirements: Packages to install with pip; their order does not matter.
        dockerfile: The rendered Dockerfile, so that a new version of it leads to a new build;
            empty for an appended layer.

    Returns:
        `job-` and 128 bits in hexadecimal.
    """
    content = json.dumps([base_digest, layer_digest, sorted(set(requirements)), dockerfile])
    return f"job-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
