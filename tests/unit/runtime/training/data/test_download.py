"""Addresses of images in their plain form.

Downloads are in integration/inputs/test_https_images.py.
"""

from __future__ import annotations

import pytest

from fedjob_runtime.training.data.download import parse_url


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("https://Example.com", "https://example.com/"),
        ("https://example.com/a b.png?q=ü#part", "https://example.com/a%20b.png?q=%C3%BC"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://example.com/a%20b\r\nHost: x", "https://example.com/a%20bHost:%20x"),
        ("https://[2606:4700::1]:8443/x", "https://[2606:4700::1]:8443/x"),
    ],
)
def test_addresses_become_plain(given: str, plain: str) -> None:
    assert parse_url(given) == plain
