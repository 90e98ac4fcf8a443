"""Row 35: a job folder on disk."""

import pytest

from fedjob.workspace.job_folder import (
    NotAJobFolderError,
    read_job_folder,
    remove_job_folder,
    write_job_folder,
)
from support.workspace.rendered_jobs import rendered


def test_a_folder_is_written_read_and_replaced(tmp_path):
    """Row 35: build, inspect, upload."""
    files = rendered(extra={"app/custom/old.py": ""})
    folder = write_job_folder(files, tmp_path / "job")
    assert read_job_folder(folder) == files
    assert [p.name for p in tmp_path.iterdir()] == ["job"]
    (folder / "app/custom/__pycache__").mkdir()
    (folder / "app/custom/__pycache__/a.pyc").write_bytes(b"x")
    assert read_job_folder(folder) == files
    write_job_folder(rendered(), folder)
    assert read_job_folder(folder) == rendered()
    remove_job_folder(folder)
    remove_job_folder(folder)
    assert not folder.exists()


def test_a_folder_with_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    for act in (
        lambda: write_job_folder(rendered(), tmp_path),
        lambda: remove_job_folder(tmp_path),
    ):
        with pytest.raises(NotAJobFolderError, match="exists and is not a job folder"):
            act()
    assert (tmp_path / "thesis.tex").read_text() == "years"
    with pytest.raises(NotAJobFolderError, match="not a job folder"):
        read_job_folder(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_job_folder(rendered(), empty)
    (tmp_path / "link").symlink_to(empty)
    with pytest.raises(NotAJobFolderError):
        write_job_folder(rendered(), tmp_path / "link")
