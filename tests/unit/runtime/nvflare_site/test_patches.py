"""Every place in NVFlare that is replaced is still there, in the version that was read."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.private.fed.server import server_app_runner

from fedjob_runtime.nvflare_site.patches import (
    REPLACED,
    RUNNER_MODULE,
    VERSION,
    Replaced,
    download_with,
    report_configuration_errors,
    server_command,
)

TESTS = Path(__file__).parents[3]


def resolve(name: str) -> Any:
    """The attribute at a dotted path."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name} is gone")


def test_version_is_the_one_that_was_read() -> None:
    assert version("nvflare") == VERSION, "read the places in REPLACED again, then raise VERSION"


@pytest.mark.parametrize("place", REPLACED, ids=lambda place: place.name)
def test_place_and_its_test_are_there(place: Replaced) -> None:
    assert resolve(place.name) is not None
    assert (TESTS / place.test).is_file()


def test_every_monkeypatch_of_the_runtime_is_in_this_module() -> None:
    """Assignments to attributes of NVFlare's modules and classes."""
    runtime = TESTS.parent / "images/runtime/fedjob_runtime"
    for file in runtime.rglob("*.py"):
        if file.name == "patches.py":
            continue
        for line in file.read_text().splitlines():
            target = line.strip().partition(" = ")[0]
            assert not target.startswith(("process_launcher.", "server_app_runner.")), file
            assert not target.endswith((".download", ".max_blob_size", ".blob_cb")), file


def test_server_command_has_our_module() -> None:
    command = f"python -u -m {RUNNER_MODULE} -m site"
    assert server_command(command, "ours") == "python -u -m ours -m site"
    with pytest.raises(RuntimeError, match="use NVFlare"):
        server_command("python -m something.else", "ours")


def test_configuration_errors_are_reported_before_they_are_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configurator = server_app_runner.ServerJsonConfigurator
    assert "args" in inspect.signature(configurator).parameters

    class Broken:
        def __init__(self, args: object) -> None:
            pass

        def configure(self) -> None:
            raise KeyError("x")

    monkeypatch.setattr(server_app_runner, "ServerJsonConfigurator", Broken)
    reported: list[tuple[Exception, object]] = []
    report_configuration_errors(lambda error, args: reported.append((error, args)))
    args = SimpleNamespace(app_root="app")
    with pytest.raises(KeyError) as caught:
        server_app_runner.ServerJsonConfigurator(args=args).configure()
    assert reported == [(caught.value, args)]


def test_download_gets_the_context() -> None:
    decomposer = type("Decomposer", (), {})
    download_with(decomposer, lambda *_, **__: "fetched")
    assert decomposer().download() == "fetched"
    assert decomposer()._get_download_kwargs({"a": 1}) == {"fobs_ctx": {"a": 1}}
