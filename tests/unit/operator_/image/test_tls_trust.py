"""Certificates beside the public ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.tls_trust import trusted_context
from support.certificates import self_made


def test_given_certificates_are_added_to_the_public_ones(tmp_path: Path) -> None:
    certificate, _ = self_made(tmp_path, "r.test")
    before = trusted_context(certificate.read_text())
    assert before is not None
    subjects = [entry["subject"] for entry in before.get_ca_certs()]
    assert ((("commonName", "r.test"),),) in subjects
    assert trusted_context(None) is None


def test_text_without_a_certificate_is_refused() -> None:
    with pytest.raises(ImageRequestInvalidError, match="no certificate in PEM form"):
        trusted_context("not PEM")
