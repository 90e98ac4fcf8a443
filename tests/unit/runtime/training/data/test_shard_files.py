"""Where a shard has a file of the name that was asked for."""

from __future__ import annotations

from pathlib import Path

from fedjob_runtime.training.data.shard_files import elsewhere


def test_the_first_path_of_that_name_is_found_letter_case_aside(tmp_path: Path) -> None:
    assert elsewhere(tmp_path, "manifest.ndjson") is None
    for folder in ("b", "a"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Manifest.ndjson").touch()
    assert elsewhere(tmp_path, "manifest.ndjson") == "a/Manifest.ndjson"
