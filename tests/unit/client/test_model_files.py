"""Files and requirements as a caller names them."""

import pytest

from fedjob.client.model_files import read_files, requirement_lines
from fedjob.errors import InvalidInputError


def test_paths_folders_and_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "more" / "deep").mkdir(parents=True)
    (tmp_path / "more" / "deep" / "b.txt").write_text("b")
    expected = {"a.txt": b"a", "more/deep/b.txt": b"b"}
    assert read_files(["a.txt", "./more"]) == expected
    assert read_files("a.txt") == {"a.txt": b"a"}
    given = {"x/a.txt": tmp_path / "a.txt", "y": "more", "z.bin": b"\xff"}
    assert read_files(given) == {"x/a.txt": b"a", "y/deep/b.txt": b"b", "z.bin": b"\xff"}


def test_missing_files_are_named_all_at_once():
    with pytest.raises(InvalidInputError, match=r"(?s)/no/a.*/no/b"):
        read_files(["/no/a", "/no/b"])


def test_requirements_of_a_list_and_of_a_file(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("einops>=0.8 # comment\n\ntimm\n")
    assert requirement_lines(str(path)) == ["einops>=0.8", "timm"]
    assert requirement_lines(["timm", " einops "]) == ["timm", "einops"]
    with pytest.raises(InvalidInputError, match="No such file"):
        requirement_lines(tmp_path / "nowhere.txt")
    with pytest.raises(InvalidInputError, match=r"(?s)requirements\[0\].*requirements\[1\]"):
        requirement_lines(["-r a", "???"])
