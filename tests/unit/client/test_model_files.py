"""Files and requirements as a caller names them."""

import pytest

from fedjob.client.model_files import read_files, requirement_lines, shipped
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


def test_small_texts_are_inline_and_the_rest_is_attached():
    files = {
        "b.txt": b"bb",
        "a.txt": b"a",
        "large.txt": b"x" * 50,
        "binary": b"\xff",
        "bell.txt": b"\x07",
        "carriage.txt": b"a\r\nb",
    }
    found = shipped(files, most=10)
    assert [(file.path, file.text) for file in found.inline] == [("a.txt", "a"), ("b.txt", "bb")]
    assert set(found.attached) == {"large.txt", "binary", "bell.txt", "carriage.txt"}


def test_a_resource_holds_a_bounded_number_of_files():
    found = shipped({f"{number}.txt": b"a" for number in range(70)})
    assert len(found.inline) == 64
    assert len(found.attached) == 6


def test_requirements_of_a_list_and_of_a_file(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("einops>=0.8 # comment\n\ntimm\n")
    assert requirement_lines(str(path)) == ["einops>=0.8", "timm"]
    assert requirement_lines(["timm", " einops "]) == ["timm", "einops"]
    with pytest.raises(InvalidInputError, match="No such file"):
        requirement_lines(tmp_path / "nowhere.txt")
    with pytest.raises(InvalidInputError, match=r"(?s)requirements\[0\].*requirements\[1\]"):
        requirement_lines(["-r a", "???"])
