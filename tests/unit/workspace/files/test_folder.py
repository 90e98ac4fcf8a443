"""A folder of code: what is shipped of it, and which file is the model's."""

import os

import pytest

from fedjob.workspace.files.folder import InvalidFolderError, is_junk, model_file_in, read_folder
from fedjob.workspace.files.rules import FileLimits


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_everything_but_junk_is_read_verbatim(tmp_path):
    files = {"model_def.py": b"\xef\xbb\xbfX\r\n", "pkg/a.py": b"", "tokenizer.json": b"{}"}
    junk = [
        *(".git/config", "__pycache__/a.pyc", ".venv/bin/python", "env/pyvenv.cfg"),
        *(".ipynb_checkpoints/a.ipynb", "pkg/.DS_Store", "a.pyc", "x.egg-info/PKG", "a.py~"),
    ]
    for name, content in {**files, **dict.fromkeys(junk, b"junk")}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert read_folder(tmp_path) == files
    assert is_junk("node_modules")
    assert not is_junk("venvs.py")


def test_shards_are_no_code(tmp_path):
    write(tmp_path, a="1", shards__a="zip")
    assert read_folder(tmp_path, left_out=[tmp_path / "shards"]) == {"a": b"1"}


def test_reading_stops_at_the_limits(tmp_path):
    write(tmp_path, a="12345", b="12345", c="12345")
    with pytest.raises(InvalidFolderError, match="more than 12 bytes or 2000 files"):
        read_folder(tmp_path, FileLimits(max_total_bytes=12))
    with pytest.raises(InvalidFolderError, match="or 2 files"):
        read_folder(tmp_path, FileLimits(max_files=2))


def test_links_to_files_are_followed_and_pipes_refused(tmp_path):
    (tmp_path / "real").write_text("x")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "real")
    assert read_folder(folder) == {"link": b"x"}
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidFolderError, match="pipe: is not a file"):
        read_folder(folder)


NET = "class Net: pass\n"


@pytest.mark.parametrize(
    ("files", "class_name", "expected"),
    [
        ({"model_def.py": "x = 1", "net.py": NET}, "Net", "model_def.py"),
        ({"net.py": NET, "utils.py": "", "bad.py": "def ("}, "Net", "net.py"),
        ({"net.py": "class Net:\n    class Inner: pass\n"}, "Net.Inner", "net.py"),
        ({"net.py": "def Net(): pass"}, "Net", "net.py"),
        ({"net.py": "Net = partial(f)"}, "Net", "net.py"),
    ],
)
def test_the_model_file_is_found(tmp_path, files, class_name, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert model_file_in(tmp_path, class_name).name == expected


def test_no_model_file_or_several_are_refused(tmp_path):
    with pytest.raises(InvalidFolderError, match="no file that defines Net"):
        model_file_in(tmp_path, "Net")
    (tmp_path / "a.py").write_text(NET)
    (tmp_path / "b.py").write_text(NET)
    with pytest.raises(InvalidFolderError, match=r"Net is defined in a\.py, b\.py"):
        model_file_in(tmp_path, "Net")
