"""The tag of a job's image."""

from __future__ import annotations

from fedjob_operator.image.tag import image_tag

BASE, LAYER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def test_tag_is_valid_and_depends_on_each_input() -> None:
    tags = [
        image_tag(BASE, LAYER),
        image_tag(LAYER, LAYER),
        image_tag(BASE, BASE),
        image_tag(BASE, LAYER, ["numpy"]),
        image_tag(BASE, LAYER, ["numpy", "scipy"]),
        image_tag(BASE, LAYER, ["numpy"], "FROM x"),
    ]
    assert len(set(tags)) == len(tags)
    assert all(len(tag) <= 128 and tag.replace("-", "").isalnum() for tag in tags)
    assert image_tag(BASE, LAYER) == image_tag(BASE, LAYER, [])


def test_order_of_requirements_does_not_matter() -> None:
    assert image_tag(BASE, LAYER, ["b", "a", "a"]) == image_tag(BASE, LAYER, ["a", "b"])
