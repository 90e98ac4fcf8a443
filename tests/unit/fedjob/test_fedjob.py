"""`import fedjob`: every public name is there, and nothing is imported for it before its use."""

import subprocess
import sys

import pytest

import fedjob

HEAVY = (
    *("torch", "nvflare", "kopf", "boto3", "botocore", "kubernetes", "pydantic", "typer", "rich"),
    *("jinja2", "IPython", "numpy", "yaml", "safetensors"),
)


def modules_after(code):
    """Names of the modules that a new Python has imported after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_brings_nothing_that_takes_time():
    """Stands for the 0.3 s: what is not imported costs no time."""
    brought = modules_after("import fedjob") - modules_after("import importlib, typing")
    assert {name for name in brought if name.partition(".")[0] in HEAVY} == set()
    assert {name for name in brought if name.startswith("fedjob")} == {"fedjob", "fedjob.version"}


@pytest.mark.parametrize("name", ["from_model", "LocalClient", "TrainingConfig"])
def test_names_bring_neither_torch_nor_what_engines_need(name):
    brought = modules_after(f"import fedjob; fedjob.{name}")
    heavy = {"torch", "nvflare", "kopf", "boto3", "kubernetes", "IPython", "typer", "safetensors"}
    assert brought & heavy == set()


@pytest.mark.parametrize("name", fedjob.__all__)
def test_public_name_is_there_and_listed(name):
    assert getattr(fedjob, name) is getattr(fedjob, name)
    assert name in dir(fedjob)


def test_public_names_are_those_that_can_be_found():
    lazy = {name for names in fedjob._MODULES.values() for name in names}
    assert {*fedjob.__all__} == lazy | {"__version__"}


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'submit'"):
        fedjob.submit  # noqa: B018
