"""State files are complete or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedjob_runtime.atomic_json import read_json, write_json


def test_value_is_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"round": 1})
    write_json(tmp_path / "a.json", {"round": 2})
    assert read_json(tmp_path / "a.json") == {"round": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "7"])
def test_what_is_not_a_complete_object_is_absent(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    assert read_json(tmp_path / "a.json") is None


def test_a_value_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"round": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"round": object()})
    assert read_json(tmp_path / "a.json") == {"round": 1}
