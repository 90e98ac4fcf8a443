"""The job folder in the store."""

from __future__ import annotations

from fedjob.storage.layout import Layout
from fedjob_operator.stages.workspace import checksum, object_key


def test_files_of_the_job_folder_have_their_keys() -> None:
    layout = Layout("team", "digits")
    found = {
        path: object_key(layout, path).removeprefix(layout.root)
        for path in (
            "app/custom/model_def.py",
            "app/config/a.json",
            "meta.json",
            "requirements.txt",
        )
    }
    assert list(found.values()) == [
        "scripts/model_def.py",
        "configs/a.json",
        "configs/meta.json",
        "requirements/requirements.txt",
    ]
    assert checksum({"a": b"bc"}) != checksum({"ab": b"c"})
    assert checksum({"a": b"1", "b": b"2"}) == checksum({"b": b"2", "a": b"1"})
