"""The shard ZIPs of a folder on this machine: found, checked, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.prepared import LocalFiles, LocalShard
from fedjob.spec import ShardsSpec
from fedjob.spec.models.shards import MAX_SHARDS
from fedjob.storage.checksum import sha256_of
from fedjob.workspace.manifest_use import ManifestUse
from fedjob.workspace.shard.archive import ShardInfo, inspect_shard
from fedjob.workspace.shard.manifest import ManifestSummary

DEFAULT_FOLDER = "shards"
"""Folder beside the job's file, used in place of the job's `shards/` prefix in S3."""


def shard_files(spec: ShardsSpec, files: LocalFiles, faults: FaultList) -> list[Path]:
    """The shard ZIPs, by file name sort (row 37), the validation shard among them.

    Args:
        spec: spec.shards: a folder given on the command line stands for what it names.
        files: Where to look.
        faults: Gets what is wrong.
    """
    folder = files.shards
    if folder is None:
        folder = files.base / DEFAULT_FOLDER
        elsewhere = spec.uri is not None or spec.items is not None
        if not folder.is_dir() or elsewhere or spec.upload is not None:
            where = "names shards in S3" if elsewhere else "names no shards"
            where = "names shards to upload" if spec.upload is not None else where
            problem = f"{where}, which a run on this machine does not read"
            faults.add("spec.shards", problem, "give the folder of the shard ZIPs: --shards DIR")
            return []
    if not folder.is_dir():
        faults.add("--shards", f"{folder} is not a folder", "give the folder of the shard ZIPs")
        return []
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".zip" and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        fix = "put one ZIP a worker there, with the manifest at its root"
        faults.add("--shards", f"{folder} has no .zip file", fix)
    if len(found) > MAX_SHARDS:
        fix = f"merge some: a job has at most {MAX_SHARDS} workers"
        faults.add("--shards", f"{folder} has {len(found)} ZIPs", fix)
    names = {path.name for path in found}
    for index, item in enumerate(spec.items or ()):
        if item.name not in names:
            problem = f"{item.name} is not in {folder}"
            faults.add(f"spec.shards.items[{index}].name", problem, "add it, or drop the item")
    for index, file in enumerate(spec.upload.files if spec.upload is not None else ()):
        if file.name not in names:
            problem = f"{file.name} is not in {folder}"
            fix = "add it, or remove it from upload.files"
            faults.add(f"spec.shards.upload.files[{index}].name", problem, fix)
    if spec.upload is not None:
        for name in sorted(names - {file.name for file in spec.upload.files}):
            problem = f"{folder} also has {name}, which the job does not name"
            fix = "remove it from the folder, or add it to upload.files"
            faults.add("spec.shards.upload.files", problem, fix)
    if spec.validation is not None and found:
        if spec.validation not in names:
            fix = f"name one of: {', '.join(sorted(names)[:10])}"
            problem = f"{spec.validation} is not in {folder}"
            faults.add("spec.shards.validation", problem, fix)
        elif len(found) == 1:
            fix = "add a shard to train on, or drop validation"
            faults.add("spec.shards.validation", "is the only shard, so no worker has one", fix)
    return found


@dataclass(frozen=True, slots=True)
class InspectedShards:
    """The shards that are good.

    Attributes:
        shards: By file name sort.
        manifests: What the manifest of each holds; None where it has none that can be used.
        infos: What each holds.
    """

    shards: list[LocalShard]
    manifests: list[ManifestSummary | None]
    infos: list[ShardInfo]


def inspect_shards(
    paths: Sequence[Path],
    spec: ShardsSpec,
    manifest_file: str,
    faults: FaultList,
    use: ManifestUse,
) -> InspectedShards:
    """Check every shard, and read every manifest once, in constant memory.

    Args:
        paths: The ZIPs.
        spec: spec.shards, for the checksums of its items or uploads.
        manifest_file: training.manifestFile.
        faults: Gets what is wrong in any of them.
        use: Which of them need a manifest.
    """
    where, expected = _checksums(spec)
    result = InspectedShards([], [], [])
    for path in paths:
        needed = use.needed_for(path.name, spec.validation)
        with faults.collected(), open(path, "rb") as file:
            info = inspect_shard(file, path.name, manifest_file, needs_manifest=needed)
            digest = sha256_of(path)
            if expected.get(path.name, digest) != digest:
                problem = f"has SHA-256 {digest}, {where} says {expected[path.name]}"
                faults.add(path.name, problem, "bring the right file, or correct sha256")
            samples = info.manifest.samples if info.manifest is not None else None
            result.shards.append(LocalShard(path.name, path, samples, digest))
            result.manifests.append(info.manifest)
            result.infos.append(info)
    return result


def _checksums(spec: ShardsSpec) -> tuple[str, dict[str, str]]:
    """The field that gives checksums of shards, and those by file name."""
    if spec.upload is not None:
        return "spec.shards.upload.files", {f.name: f.sha256 for f in spec.upload.files}
    items = {item.name: item.sha256 for item in spec.items or () if item.sha256 is not None}
    return "spec.shards.items", items
