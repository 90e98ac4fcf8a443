"""Every pattern of the spec has a description and an example."""

from fedjob.spec.validation.hints import PATTERN_HINTS
from support.spec.crd_schema import SPEC


def test_every_pattern_has_a_description_and_an_example():
    used = {node["pattern"] for node in SPEC.values() if "pattern" in node}
    assert used <= PATTERN_HINTS.keys()


def test_no_pattern_looks_around():
    """RE2, which the API server uses, has no lookahead and no back reference."""
    for pattern in PATTERN_HINTS:
        assert "(?" not in pattern
