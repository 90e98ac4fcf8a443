"""Rows 18 and 19: where a sample's file is."""

import pytest

from fedjob.workspace.shard.manifest import (
    iter_manifest,
)
from support.workspace.manifest_lines import WHERE, line

URIS = {
    "images/a.png": "images/a.png",
    "./images//a.png": "images/a.png",
    "file://images/a.png": "images/a.png",
    "file://a%20b.png": "a b.png",
    "a%20b.png": "a%20b.png",
    "ünï/ç.png": "ünï/ç.png",
    "a..b/c...png": "a..b/c...png",
    "./img:1.png": "img:1.png",
    "https://example.org/a.png?x=1": None,
    "HTTPS://example.org:8443/a.png": None,
}


@pytest.mark.parametrize(("uri", "path"), URIS.items())
def test_uris_within_the_shard_and_https_are_taken(uri, path):
    """Row 18."""
    (sample,) = iter_manifest([line(uri=uri)], WHERE)
    assert (sample.uri, sample.path) == (uri, path)
