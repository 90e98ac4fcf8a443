"""Reads the body of a response into memory, up to a limit."""

from __future__ import annotations

import requests

from fedjob_operator.image.errors import ImageBuildFailedError

MAX_DOCUMENT = 4 << 20
"""Bytes of a manifest, an index, a config or an error: the OCI specification's own limit."""
_PIECE = 1 << 16


def bounded_content(response: requests.Response, limit: int = MAX_DOCUMENT) -> bytes:
    """All bytes of a response that was asked for with `stream=True`.

    Raises:
        ImageBuildFailedError: It has more than `limit` bytes; the rest is not read.
    """
    data = bytearray()
    for piece in response.iter_content(_PIECE):
        data += piece
        if len(data) > limit:
            response.close()
            raise ImageBuildFailedError(
                str(response.url),
                f"the answer has more than {limit} bytes",
                "look for a broken registry, or use another",
            )
    return bytes(data)
