"""Requirements are compared with what is installed, without importing anything."""

from types import SimpleNamespace

import pytest

from fedjob.workspace.requirements.installed import find_distribution, missing_requirements
from fedjob.workspace.requirements.lines import parse_requirements

INSTALLED = {
    "numpy": SimpleNamespace(version="2.1.0", requires=None),
    "tiny": SimpleNamespace(
        version="1.0rc1",
        requires=['other>=2; extra == "fast"', 'numpy; extra == "np"', "always", "not (valid"],
    ),
    "odd": SimpleNamespace(version="not-a-version", requires=None),
}


def missing(text):
    lines = parse_requirements(text, "requirements.txt")
    return [str(item) for item in missing_requirements(lines, INSTALLED.get)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy", []),
        ("numpy>=2,<3", []),
        ("numpy>=3", ["numpy>=3 (2.1.0 is installed)"]),
        ("absent", ["absent"]),
        ("absent; python_version < '3'", []),
        ("absent==1 --hash=sha256:" + "0" * 64, ["absent==1"]),
        ("tiny", []),
        ("tiny<1", ["tiny<1 (1.0rc1 is installed)"]),
        ("tiny[np]", []),
        ("tiny[fast]", ["tiny[fast] (its extra needs other>=2)"]),
        ("odd", ["odd (not-a-version is installed)"]),
        ("./numpy-2.1.0-py3-none-any.whl", []),
        (
            "./w/numpy-2.2-py3-none-any.whl",
            ["./w/numpy-2.2-py3-none-any.whl (2.1.0 is installed)"],
        ),
        ("absent\nnumpy\nmore>1", ["absent", "more>1"]),
    ],
)
def test_what_is_missing_is_listed_with_what_is_there(text, expected):
    assert missing(text) == expected


def test_distributions_are_found_by_any_spelling():
    assert find_distribution("PyTest") is not None
    assert find_distribution("surely-not-installed-here") is None
