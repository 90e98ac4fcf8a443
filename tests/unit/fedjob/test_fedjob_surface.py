"""The public surface: what is listed, documented, and shown by an example that runs."""

from __future__ import annotations

import doctest
import enum
import inspect
import textwrap

import pytest

import fedjob
import fedjob.compat
from fedjob.client.cluster import Client
from fedjob.client.local import LocalClient
from support.repository import ROOT
from support.sdk import python_reference as reference
from support.sdk.finished_run import finish
from support.sdk.models import write_model

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
VALUES = (enum.Enum, BaseException)


def documented():
    """(name, object) of every public name, and of every public method and property."""
    for module in (fedjob, fedjob.compat):
        for name in reference.names_of(module):
            value = getattr(module, name)
            title = name if module is fedjob else f"compat.{name}"
            yield title, value
            if isinstance(value, type):
                yield from ((f"{title}.{part}", item) for part, item in reference.members_of(value))


SURFACE = dict(documented())


def docstring(value):
    function = getattr(value, "__func__", value)
    return inspect.getdoc(getattr(function, "fget", None) or function) or ""


def test_page_lists_the_surface_as_it_is():
    """Names, arguments, types and defaults: a change of one shows in this file."""
    page = (ROOT / "docs/reference/python.md").read_text()
    assert page == reference.page(), (
        "`make generate`, and look at what changed in docs/reference/python.md"
    )


@pytest.mark.parametrize("name", SURFACE)
def test_public_name_has_a_docstring(name):
    assert len(docstring(SURFACE[name])) > 5


def needs_an_example(name):
    """Functions, clients, runs and their methods; values and errors are shown by these."""
    value = SURFACE[name]
    data = isinstance(value, type) and (
        issubclass(value, VALUES) or hasattr(value, "model_fields") or name == "Report"
    )
    owner = SURFACE.get(name.rpartition(".")[0])
    of_data = isinstance(owner, type) and (
        owner.__module__.startswith(("fedjob.spec", "fedjob.engines")) or issubclass(owner, VALUES)
    )
    inherited = name.rpartition(".")[2] in ("ignored", "values", "aggregator", "check",
                                            "class_name", "added_code")  # fmt: skip
    return name == "FederatedJob" or not (data or of_data or inherited or name == "Fault")


EXAMPLES = [name for name in SURFACE if needs_an_example(name)]


@pytest.fixture
def shown(request, model, job, shards, tmp_path, monkeypatch):
    """What the examples take for granted: a folder with a model, shards and a finished run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDJOB_ENGINE", raising=False)
    write_model(tmp_path)
    (tmp_path / "job.yaml").write_text(job.to_yaml())
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model")
    prepared = job.prepared("shards/")
    for out in ("fedjob-out", "runs"):
        finish(prepared, tmp_path / out / "digits")
    # The verbs are the engines' own; only where the jobs are is another place.
    local = LocalClient()
    for verb in ("submit", "get"):
        monkeypatch.setattr(Client, verb, staticmethod(getattr(local, verb)))
    monkeypatch.setattr(Client, "list", lambda self, all_namespaces=False: local.list())
    if "RTJobBuilder" not in request.node.callspec.params["name"]:
        arguments = fedjob.compat.service.JobArguments
        monkeypatch.setattr(arguments, "job", lambda self, model, email=None: job)
    client = fedjob.compat.ResonTech(base_url="local")
    return {
        **{name: getattr(fedjob, name) for name in fedjob.__all__},
        **{name: getattr(fedjob.compat, name) for name in fedjob.compat.__all__},
        "fedjob": fedjob,
        "Net": model,
        "job": job,
        "run": local.get("digits"),
        "client": client,
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_of_a_public_name_runs(name, shown, monkeypatch):
    text = docstring(SURFACE[name])
    if name.startswith("compat.RTJob") and "Builder" not in name:
        shown["job"] = shown["client"].get_job("digits")
    if name == "Run.resume":
        monkeypatch.setattr(fedjob.Run, "running", True)
    found = doctest.DocTestParser().get_doctest(textwrap.dedent(text), shown, name, None, 0)
    assert found.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    printed: list[str] = []
    runner.run(found, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)
