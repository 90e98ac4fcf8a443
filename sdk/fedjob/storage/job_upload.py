"""What a job reads, brought to its place in S3: job folder, shards and first weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob.storage.objects import Upload


def upload_plan(
    layout: Layout, job_folder: Path, shards: Mapping[str, Path], checkpoint: Path | None
) -> dict[str, Path]:
    """Object key to file, for everything there is to upload.

    Args:
        layout: The job's keys.
        job_folder: The generated job folder (app/, meta.json, requirements.txt).
        shards: ZIP by file name, the validation shard among them.
        checkpoint: The first weights, if any.
    """
    plan: dict[str, Path] = {}
    found = [
        *sorted(job_folder.glob("app/custom/**/*")),
        *sorted(job_folder.glob("app/config/**/*")),
    ]
    found += [job_folder / "meta.json", job_folder / "requirements.txt"]
    for path in found:
        if path.is_file():
            plan[job_folder_key(layout, path.relative_to(job_folder).as_posix())] = path
    for name in sorted(shards):
        plan[layout.shard(name)] = shards[name]
    if checkpoint is not None:
        plan[checkpoint_key(layout, checkpoint)] = checkpoint
    return plan


def checkpoint_key(layout: Layout, checkpoint: Path) -> str:
    """The object key of the first weights: their ending says how they are read."""
    return layout.checkpoint(checkpoint.suffix)


def job_folder_key(layout: Layout, path: str) -> str:
    """The object key of a file of the job folder, by its path in the folder."""
    for folder, prefix in (("app/custom/", layout.scripts), ("app/config/", layout.configs)):
        if path.startswith(folder):
            return layout.under(prefix, path.removeprefix(folder))
    prefix = layout.requirements if path == "requirements.txt" else layout.configs
    return layout.under(prefix, path)


def _always() -> None:
    return None


def upload(
    bucket: Bucket,
    layout: Layout,
    plan: Mapping[str, Path],
    progress: Callable[[int, int], None] | None = None,
    may_write: Callable[[], None] = _always,
) -> list[Upload]:
    """Upload a plan; what is there with the same checksum is skipped (row 39).

    Code and configuration of an earlier upload that this plan lacks are deleted, so that no worker
    runs a file that the job does not have any more; shards are left.

    Args:
        bucket: Where to.
        layout: The job's keys.
        plan: Of `upload_plan`.
        progress: Called with bytes done and in all, from several threads.
        may_write: Called before every upload and deletion; raises to stop.
    """
    sizes = {key: path.stat().st_size for key, path in plan.items()}
    total, done, lock = sum(sizes.values()), dict.fromkeys(plan, 0), threading.Lock()

    def moved(key: str, count: int, _total: int) -> None:
        with lock:
            done[key] = count
            if progress is not None:
                progress(sum(done.values()), total)

    uploads = []
    for key, path in plan.items():
        may_write()
        uploads.append(bucket.upload_file(path, key, moved))
    for prefix in (layout.scripts, layout.configs, layout.requirements):
        for info in list(bucket.list(prefix)):
            if info.key not in plan:
                may_write()
                bucket.delete(info.key)
    return uploads
