"""What the training package may import, and that what it says elsewhere is so."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from fedjob.reasons import Reason
from fedjob.spec.env_names import FIELDS, LATER, OWN
from fedjob_runtime.training import context, errors

PACKAGE = Path(inspect.getfile(errors)).parent


def test_every_error_s_reason_is_in_the_catalogue() -> None:
    """The tests of the catalogue require a page for each."""
    reasons = {
        value.reason
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.TrainingError)
    }
    assert len(reasons) > 15
    assert reasons <= set(Reason)


def test_no_module_imports_nvflare() -> None:
    for file in PACKAGE.glob("*.py"):
        assert "nvflare" not in file.read_text().replace("nvflare, the network", ""), file


def test_the_errors_come_without_torch() -> None:
    """The supervisor names reasons and must stay small."""
    code = "import fedjob_runtime.training.errors, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("fields", ["documented_env", "env"])
def test_every_name_of_env_is_known_to_the_spec(tmp_path: Path, fields: str) -> None:
    made = getattr(context.TrainingContext("w", "j", 0, tmp_path), fields)()
    assert set(made) <= OWN | LATER | set(FIELDS)
