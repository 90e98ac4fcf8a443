"""Rows 1 to 6, 28, 35: scripts of the documented service, with their import line changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sdk.compat_scripts import EXPECTED, SCRIPTS, check, copy_scripts, start

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    copy_scripts(folder)
    return folder


def test_scripts_are_the_services_but_for_their_import_line() -> None:
    for script in EXPECTED:
        text = (SCRIPTS / script).read_text()
        assert text.count("fedjob") == text.count("fedjob.compat"), script
        assert "from fedjob.compat import" in text


@pytest.mark.parametrize(
    "pair", [tuple(EXPECTED)[:2], tuple(EXPECTED)[2:4], tuple(EXPECTED)[4:]], ids="+".join
)
def test_script_runs_on_this_machine(pair: tuple[str, ...], folder: Path) -> None:
    """Two at a time: each waits for its processes to start most of the time."""
    processes = {script: start(script, folder, FEDJOB_ENGINE="local") for script in pair}
    for script, process in processes.items():
        output = check(script, process)
        if script == "digits_file.py":
            assert output.count("without effect here") == 1, "one warning for all of them"
            assert "max_price" in output
            assert "s3_bucket_alias" in output
            assert f"dashboard {(folder / 'fedjob-out').as_uri()}" in output
