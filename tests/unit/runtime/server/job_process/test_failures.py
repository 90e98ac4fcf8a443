"""An exception of the job process: whose it is, its last frames, and whether it may pass."""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fedjob.reasons import Reason
from fedjob_runtime.server.job_process.failures import failure_of
from fedjob_runtime.server.job_process.fedavg import WeightedMean
from fedjob_runtime.training.errors import ModelInvalidError

AUTHORS = """
def save_model(settings):
    return settings["bucket"]


def wrapped(settings):
    try:
        save_model(settings)
    except KeyError as error:
        raise ValueError("Class has parameters error") from error
"""


def load(folder: Path) -> ModuleType:
    file = folder / "model_def.py"
    file.write_text(AUTHORS)
    spec = importlib.util.spec_from_file_location("authors_model_def", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (whatever it is)
        call()
    return caught.value


def test_an_error_of_ours_names_our_line_and_fails_at_once(tmp_path: Path) -> None:
    mean = WeightedMean({"t": torch.zeros(1)})
    error = raised(lambda: mean.add({}, 1))
    found = failure_of(error, tmp_path, "in round 3")
    assert (found.reason, found.may_pass) == (Reason.INTERNAL_ERROR, False)
    assert (
        "the server's job process failed in round 3: KeyError: 't' (fedavg.py line" in found.message
    )
    assert 'File "' in found.message
    assert "report it with the server's log" in found.message


@pytest.mark.parametrize("function", ["save_model", "wrapped"])
def test_an_error_of_the_authors_code_names_their_line(tmp_path: Path, function: str) -> None:
    module = load(tmp_path)
    error = raised(lambda: getattr(module, function)({}))
    found = failure_of(error, tmp_path, "in round 2")
    assert (found.reason, found.may_pass) == (Reason.COMPONENT_FAILED, False)
    assert "model_def.py line" in found.message
    assert "spec.components" in found.message


def test_a_root_cause_in_the_authors_code_is_found_behind_others(tmp_path: Path) -> None:
    module = load(tmp_path)

    def outer() -> None:
        try:
            module.save_model({})
        except KeyError:
            raise RuntimeError("failed to instantiate class")  # noqa: B904 (NVFlare does so)

    found = failure_of(raised(outer), tmp_path, "before its first round")
    assert found.reason == Reason.COMPONENT_FAILED
    assert "KeyError: 'bucket' (model_def.py line 3, in save_model)" in found.message


def test_a_component_that_nvflare_cannot_build_is_invalid(tmp_path: Path) -> None:
    error = ValueError("Class model_def.MyPersistor has parameters error: unexpected argument")
    found = failure_of(error, tmp_path, "before its first round", building=True)
    assert (found.reason, found.may_pass) == (Reason.COMPONENT_INVALID, False)
    assert "unexpected argument" in found.message
    assert "spec.components" in found.message


def test_an_error_of_fedjob_keeps_its_reason_and_text(tmp_path: Path) -> None:
    found = failure_of(ModelInvalidError("Net is lazy", "give sizes"), tmp_path, "")
    assert (found.reason, found.message) == ("ModelInvalid", "Net is lazy; give sizes")


@pytest.mark.parametrize(
    ("error", "reason", "may_pass"),
    [
        (MemoryError(), Reason.OUT_OF_MEMORY, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), Reason.OUT_OF_MEMORY, False),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.NO_SPACE, False),
        (ValueError("I/O error: No space left on device (os error 28)"), Reason.NO_SPACE, False),
        (ConnectionResetError(), Reason.FEDERATION_FAILED, True),
        (TimeoutError(), Reason.FEDERATION_FAILED, True),
        (FileNotFoundError("model.safetensors"), Reason.INTERNAL_ERROR, False),
        (TypeError("x"), Reason.INTERNAL_ERROR, False),
    ],
)
def test_only_what_may_pass_is_left_to_retries(
    tmp_path: Path, error: Exception, reason: Reason, may_pass: bool
) -> None:
    found = failure_of(error, tmp_path, "in round 1")
    assert (found.reason, found.may_pass) == (reason, may_pass)
