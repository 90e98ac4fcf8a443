"""The job folder as a layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.layer import Layer, make_layer

FILES = {
    "app/custom/model_def.py": b"x = 1\n",
    "app/config/config_fed_client.json": b"{}",
    "meta.json": b"",
}


def members(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer.data), mode="r:gz") as tar:
        return {member.name: member for member in tar}


def test_layer_contains_exactly_the_files_and_their_folders() -> None:
    layer = make_layer(FILES)
    assert list(members(layer)) == [
        "opt/fedjob/job",
        "opt/fedjob/job/app",
        "opt/fedjob/job/app/config",
        "opt/fedjob/job/app/config/config_fed_client.json",
        "opt/fedjob/job/app/custom",
        "opt/fedjob/job/app/custom/model_def.py",
        "opt/fedjob/job/meta.json",
    ]
    with tarfile.open(fileobj=io.BytesIO(layer.data), mode="r:gz") as tar:
        for path, content in FILES.items():
            taken = tar.extractfile(f"opt/fedjob/job/{path}")
            assert taken is not None
            assert taken.read() == content


def test_members_have_no_time_and_no_user() -> None:
    for name, member in members(make_layer(FILES)).items():
        assert (member.mtime, member.uid, member.gid) == (0, 0, 0), name
        assert (member.uname, member.gname) == ("", ""), name
        assert member.mode == (0o755 if member.isdir() else 0o644), name


def test_digests_cover_compressed_and_plain_bytes() -> None:
    layer = make_layer(FILES)
    plain = gzip.decompress(layer.data)
    assert layer.digest == f"sha256:{hashlib.sha256(layer.data).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


NAMES = st.text("abcä.-_", min_size=1, max_size=120).filter(
    lambda name: name not in {".", ".."} and not name.startswith(".wh.")
)


@given(st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=6), st.randoms())
def test_same_files_in_any_order_give_the_same_layer(files: dict[str, bytes], random) -> None:  # type: ignore[no-untyped-def]
    items = list(files.items())
    random.shuffle(items)
    first, second = make_layer(files), make_layer(dict(items))
    assert first == second
    assert len(members(first)) == len(files) + 1


@pytest.mark.parametrize(
    "changed",
    [
        {**FILES, "meta.json": b"1"},
        {**FILES, "new": b""},
        {("renamed" if path == "meta.json" else path): body for path, body in FILES.items()},
    ],
    ids=["content", "another file", "name"],
)
def test_any_change_gives_another_layer(changed: dict[str, bytes]) -> None:
    assert make_layer(changed).digest != make_layer(FILES).digest
    assert make_layer(changed).diff_id != make_layer(FILES).diff_id


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/",
        "",
        ".wh.model_def.py",
        "a/.wh..wh..opq",
    ],
)
def test_paths_outside_the_folder_and_whiteouts_are_refused(path: str) -> None:
    with pytest.raises(
        ImageRequestInvalidError, match="not a path inside the job folder"
    ) as caught:
        make_layer({path: b""})
    assert repr(path) in str(caught.value)


def test_name_that_is_file_and_folder_is_refused() -> None:
    with pytest.raises(ImageRequestInvalidError, match="'a': it is a file and a folder"):
        make_layer({"a": b"", "a/b": b""})


def test_empty_job_folder_is_refused() -> None:
    with pytest.raises(ImageRequestInvalidError, match="it has no files"):
        make_layer({})
