"""The name that was probably meant."""

import pytest

from fedjob.workspace.source.nearest import nearest


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("Nett", ["Head", "Net"], "Net"),
        ("NET", ["net", "Net"], "net"),
        ("Transformer", ["Net"], None),
        ("Net", [], None),
    ],
)
def test_the_most_similar_name_is_found_whatever_its_case(name, names, expected):
    assert nearest(name, names) == expected
