"""What a model file imports, and what a worker lacks of it."""

import ast
import textwrap

import pytest

from fedjob.workspace.source.imports import imports_of, modules_of
from fedjob.workspace.source.model_file import check_source
from support.workspace.model_texts import MODEL


def test_modules_that_no_worker_has_are_named():
    text = MODEL + textwrap.dedent(
        """
        import json, sklearn.svm, timm
        from PIL import Image
        from yaml import safe_load
        try:
            import wandb
        except ImportError:
            wandb = None
        """
    )
    assert check_source(text, "Net").missing_modules == ("sklearn", "timm", "yaml")
    brought = ["scikit-learn>=1.5", "timm", "PyYAML[libyaml]==6.0"]
    assert check_source(text, "Net", requirements=brought).missing_modules == ()
    assert modules_of("@ what") == set()


@pytest.mark.parametrize(
    ("requirement", "modules"),
    [
        ("./w/tiny_wheel-1.0-py3-none-any.whl --hash=sha256:00", {"tiny_wheel"}),
        ("scikit-learn>=1.5", {"sklearn"}),
        ("Some.Package[extra]==1", {"some_package"}),
        ("", set()),
    ],
)
def test_modules_are_guessed_from_requirements(requirement, modules):
    assert modules_of(requirement) == modules


def test_dotted_imports_name_what_may_be_a_module():
    tree = ast.parse("import a.b\nfrom c.d import e\nfrom . import f")
    assert sorted(imports_of(tree)) == [("a", False), ("c", False)]
    assert sorted(imports_of(tree, dotted=True)) == [
        ("a.b", False),
        ("c.d", False),
        ("c.d.e", False),
    ]
