"""The shard ZIPs of a folder on this machine: found, checked, counted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from fedjob.errors import Fault, InvalidInputError
from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.prepared import LocalFiles
from fedjob.preparation.shards import InspectedShards, inspect_shards, shard_files
from fedjob.spec import ShardsSpec
from fedjob.spec.models.shards import MAX_SHARDS
from fedjob.workspace.manifest_use import NO_MANIFEST, ManifestUse
from support.workspace.shard_zips import GOOD, ONE, zipped

ALL_READ = ManifestUse(training=True, validation=True, generated=True)
MANIFEST = "manifest.ndjson"
TEXT_SAMPLE = {MANIFEST: ONE.replace(b"a.png", b"a.txt"), "images/a.txt": b"text"}


def spec(**fields: Any) -> ShardsSpec:
    return ShardsSpec.model_validate(fields)


def item(name: str, **fields: str) -> dict[str, str]:
    return {"name": name, "uri": f"s3://data/{name}", **fields}


def folder_with(path: Path, *names: str, data: bytes = b"") -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_bytes(data or zipped(GOOD))
    return path


def faults_of(faults: FaultList) -> tuple[Fault, ...]:
    with pytest.raises(InvalidInputError) as caught:
        faults.check()
    return caught.value.faults


def found_in(files: LocalFiles, **fields: Any) -> list[str]:
    faults = FaultList()
    names = [path.name for path in shard_files(spec(**fields), files, faults)]
    faults.check()
    return names


def refused_in(files: LocalFiles, **fields: Any) -> tuple[Fault, ...]:
    faults = FaultList()
    shard_files(spec(**fields), files, faults)
    return faults_of(faults)


def inspect(paths: list[Path], use: ManifestUse, faults: FaultList, **f: Any) -> InspectedShards:
    return inspect_shards(paths, spec(**f), MANIFEST, faults, use)


def test_zips_are_found_by_file_name_and_nothing_else_is(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "here", "b.zip", "a.ZIP", ".hidden.zip", "readme.txt")
    (folder / "folder.zip").mkdir()
    assert found_in(LocalFiles(shards=folder)) == ["a.ZIP", "b.zip"]


def test_the_folder_beside_the_job_is_the_default(tmp_path: Path) -> None:
    folder_with(tmp_path / "shards", "a.zip")
    assert found_in(LocalFiles(base=tmp_path)) == ["a.zip"]


@pytest.mark.parametrize("fields", [{"uri": "s3://data/shards/"}, {"items": [item("a.zip")]}])
def test_shards_in_s3_need_a_given_folder(tmp_path: Path, fields: dict[str, Any]) -> None:
    folder = folder_with(tmp_path / "shards", "a.zip")
    (fault,) = refused_in(LocalFiles(base=tmp_path), **fields)
    assert fault.field == "spec.shards"
    assert fault.problem.startswith("names shards in S3")
    assert "--shards DIR" in fault.fix
    assert found_in(LocalFiles(shards=folder), **fields) == ["a.zip"]


def test_a_job_without_shards_is_refused(tmp_path: Path) -> None:
    (fault,) = refused_in(LocalFiles(base=tmp_path))
    assert fault.problem.startswith("names no shards")


def test_a_folder_that_is_absent_or_empty_is_refused(tmp_path: Path) -> None:
    (absent,) = refused_in(LocalFiles(shards=tmp_path / "absent"))
    assert absent.field == "--shards"
    assert absent.problem.endswith("is not a folder")
    (empty,) = refused_in(LocalFiles(shards=tmp_path))
    assert empty.problem.endswith("has no .zip file")


def test_more_shards_than_a_job_has_workers_are_refused(tmp_path: Path) -> None:
    names = [f"{number}.zip" for number in range(MAX_SHARDS + 1)]
    (fault,) = refused_in(LocalFiles(shards=folder_with(tmp_path, *names, data=b"x")))
    assert f"has {MAX_SHARDS + 1} ZIPs" in fault.problem
    assert str(MAX_SHARDS) in fault.fix


def test_an_item_that_is_not_in_the_folder_is_named(tmp_path: Path) -> None:
    files = LocalFiles(shards=folder_with(tmp_path, "a.zip"))
    (fault,) = refused_in(files, items=[item("a.zip"), item("b.zip")])
    assert fault.field == "spec.shards.items[1].name"
    assert fault.problem.startswith("b.zip is not in")


def test_an_upload_takes_the_given_folder_with_exactly_its_files(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "shards", "a.zip", "b.zip")
    digest = hashlib.sha256((folder / "a.zip").read_bytes()).hexdigest()
    files = [{"name": name, "sha256": digest, "size": 1} for name in ("a.zip", "b.zip", "c.zip")]
    given = LocalFiles(shards=folder)
    assert found_in(given, upload={"files": files[:2]}) == ["a.zip", "b.zip"]
    (absent,) = refused_in(given, upload={"files": files})
    assert absent.field == "spec.shards.upload.files[2].name"
    assert absent.problem.startswith("c.zip is not in")
    (more,) = refused_in(given, upload={"files": files[:1]})
    assert "also has b.zip" in more.problem
    (elsewhere,) = refused_in(LocalFiles(base=tmp_path), upload={"files": files})
    assert elsewhere.problem.startswith("names shards to upload")


def test_another_checksum_than_the_upload_gives_is_a_fault(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a.zip")
    faults = FaultList()
    upload = {"files": [{"name": "a.zip", "sha256": "0" * 64, "size": 1}]}
    inspect([folder / "a.zip"], ALL_READ, faults, upload=upload)
    (fault,) = faults_of(faults)
    assert f"spec.shards.upload.files says {'0' * 64}" in fault.problem


def test_the_validation_shard_is_in_the_folder_and_not_alone(tmp_path: Path) -> None:
    files = LocalFiles(shards=folder_with(tmp_path, "a.zip"))
    (absent,) = refused_in(files, validation="val.zip")
    assert absent.field == "spec.shards.validation"
    assert absent.fix == "name one of: a.zip"
    (alone,) = refused_in(files, validation="a.zip")
    assert alone.problem == "is the only shard, so no worker has one"
    folder_with(tmp_path, "val.zip")
    assert found_in(files, validation="val.zip") == ["a.zip", "val.zip"]


def test_samples_and_checksum_of_each_good_shard_are_known(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a.zip")
    faults = FaultList()
    result = inspect([folder / "a.zip"], ALL_READ, faults)
    faults.check()
    (shard,) = result.shards
    assert (shard.name, shard.path, shard.samples) == ("a.zip", folder / "a.zip", 1)
    assert shard.sha256 == hashlib.sha256((folder / "a.zip").read_bytes()).hexdigest()
    assert [m and m.samples for m in result.manifests] == [1]
    assert [info.name for info in result.infos] == ["a.zip"]


def test_another_checksum_than_the_item_gives_is_a_fault(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a.zip")
    faults = FaultList()
    inspect([folder / "a.zip"], ALL_READ, faults, items=[item("a.zip", sha256="0" * 64)])
    (fault,) = faults_of(faults)
    assert fault.field == "a.zip"
    assert f"spec.shards.items says {'0' * 64}" in fault.problem


def test_one_bad_shard_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "b.zip")
    folder_with(tmp_path, "a.zip", data=b"this is not a ZIP")
    faults = FaultList()
    paths = [folder / "a.zip", folder / "b.zip", folder / "gone.zip"]
    result = inspect(paths, ALL_READ, faults)
    assert [shard.name for shard in result.shards] == ["b.zip"]
    bad, gone = faults_of(faults)
    assert bad.field.startswith("a.zip")
    assert gone.field.endswith("gone.zip")


def test_a_manifest_is_needed_only_where_fedjob_reads_it(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a.zip", data=zipped({"train.csv": b"1,2"}))
    faults = FaultList()
    result = inspect([folder / "a.zip"], NO_MANIFEST, faults)
    faults.check()
    assert [shard.samples for shard in result.shards] == [None]
    assert result.manifests == [None]
    inspect([folder / "a.zip"], ALL_READ, faults)
    assert len(faults_of(faults)) == 1


def test_a_faulty_manifest_that_only_the_author_reads_is_kept_for_the_hints(
    tmp_path: Path,
) -> None:
    folder = folder_with(tmp_path, "a.zip", data=zipped({MANIFEST: b"not JSON\n"}))
    faults = FaultList()
    (info,) = inspect([folder / "a.zip"], NO_MANIFEST, faults).infos
    faults.check()
    assert info.has_manifest
    assert str(info.manifest_faults[0]).startswith("a.zip")
