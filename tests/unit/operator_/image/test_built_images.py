"""Built images: remembered by name, in a form that a ConfigMap takes, and bounded."""

from __future__ import annotations

import re

import pytest

from fedjob_operator.image import built_images
from fedjob_operator.image.built_images import BuiltImages

IMAGE = "registry.test:5000/fedjob/jobs/team:job-1"
DIGEST = "sha256:" + "a" * 64


def test_image_is_known_after_it_was_built_also_by_a_later_process() -> None:
    built = BuiltImages()
    assert built.digest(IMAGE) is None
    built.add(IMAGE, DIGEST)
    assert built.digest(IMAGE) == DIGEST
    assert built.digest(f"{IMAGE}2") is None
    assert BuiltImages(built.recorded).digest(IMAGE) == DIGEST


def test_keys_are_those_of_a_config_map() -> None:
    built = BuiltImages()
    built.add(IMAGE, DIGEST)
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in built.recorded)


def test_list_does_not_outgrow_a_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_images, "MOST", 3)
    built = BuiltImages()
    for number in range(10):
        built.add(f"{IMAGE}-{number}", DIGEST)
    assert len(built.recorded) == 3
    assert built.digest(f"{IMAGE}-9") == DIGEST
