"""A body is read up to a limit."""

from __future__ import annotations

import pytest

from fedjob_operator.image.bounded_content import MAX_DOCUMENT, bounded_content
from fedjob_operator.image.errors import ImageBuildFailedError
from support.http_responses import response


def test_body_within_the_limit_is_whole() -> None:
    assert bounded_content(response(200, body=b"abc"), 3) == b"abc"
    assert bounded_content(response(200)) == b""


def test_body_over_the_limit_is_refused_before_it_is_read_whole() -> None:
    given = response(200, body=b"x" * (4 * MAX_DOCUMENT))
    with pytest.raises(ImageBuildFailedError, match="has more than 4194304 bytes"):
        bounded_content(given)
    assert given.raw.closed or given.raw.tell() <= MAX_DOCUMENT + (1 << 16)
