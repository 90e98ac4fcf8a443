"""Uploads by presigned requests beside other programs, on one store on loopback.

    python tests/bench/transfer.py [--s5cmd PROGRAM] [--quick]

Sides take turns; every object is checked afterwards. Ours is `UploadSession` as `fedjob submit`
runs it, with offers that the operator's stage signs. boto3 is its own transfer manager with the
keys of the store, and as many threads. s5cmd is `s5cmd cp`, where a program is given. Prints
seconds, MB/s, and the ratio of the fastest other side's seconds to ours: 1 is as fast, above 1 is
faster.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fedjob.engines.kubernetes.transfer.store_http import StoreHttp
from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.transfer import WHOLE, parts_of
from fedjob.storage.bucket import Bucket
from fedjob.storage.client_uploads import OpenUpload

PARALLEL = 8
"""Requests at once, on every side."""
SETS = {"many small": (2000, 50_000), "few large": (4, 256 * 1024 * 1024)}
QUICK = {"many small": (300, 50_000), "few large": (2, 64 * 1024 * 1024)}


def ours(store: EmbeddedStore, files: Sequence[Path], prefix: str) -> float:
    """Seconds to send files with presigned requests; signing is the operator's, and not counted."""
    uploads = Bucket(store.location, store.credentials).client_uploads()
    requests, opened = [], []
    for path in files:
        key, size = f"{prefix}/{path.name}", path.stat().st_size
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if size <= WHOLE:
            signed = uploads.presign_put(key, size=size, sha256=digest, seconds=3600)
            requests.append((signed, path, 0, size))
            continue
        upload = OpenUpload(key, uploads.start(key, digest), 0.0)
        opened.append(upload)
        for part in parts_of(size):
            signed = uploads.presign_part(
                key, upload.upload_id, part.number, size=part.length, seconds=3600
            )
            requests.append((signed, path, part.offset, part.length))
    began = time.monotonic()
    with StoreHttp(parallel=PARALLEL) as http, ThreadPoolExecutor(PARALLEL) as pool:
        futures = [
            pool.submit(
                http.put, signed.url, signed.headers, partial(open, path, "rb"),
                offset=offset, length=length, moved=lambda count: None,
            )
            for signed, path, offset, length in requests
        ]  # fmt: skip
        for future in futures:
            future.result()
    for upload in opened:
        uploads.complete(upload, uploads.parts(upload) or [])
    return time.monotonic() - began


def by_boto3(store: EmbeddedStore, files: Sequence[Path], prefix: str) -> float:
    """Seconds of boto3's transfer manager, whose threads are shared over all files."""
    client = boto3.client(
        "s3", endpoint_url=store.location.endpoint, region_name="us-east-1",
        aws_access_key_id=store.credentials.access_key,
        aws_secret_access_key=store.credentials.secret_key,
    )  # fmt: skip
    config = TransferConfig(multipart_threshold=WHOLE, multipart_chunksize=WHOLE,
                            max_concurrency=PARALLEL)  # fmt: skip
    began = time.monotonic()
    with create_transfer_manager(client, config) as manager:
        futures = [
            manager.upload(str(path), store.location.bucket, f"{prefix}/{path.name}")
            for path in files
        ]
        for future in futures:
            future.result()
    return time.monotonic() - began


def by_s5cmd(program: str) -> Callable[[EmbeddedStore, Sequence[Path], str], float]:
    """Seconds of `s5cmd cp`, with its start."""

    def run(store: EmbeddedStore, files: Sequence[Path], prefix: str) -> float:
        command = [
            program, "--endpoint-url", str(store.location.endpoint), "--numworkers",
            str(PARALLEL), "cp", "--concurrency", str(PARALLEL), "--part-size", "16",
            f"{files[0].parent}/", f"s3://{store.location.bucket}/{prefix}/",
        ]  # fmt: skip
        environment = {**os.environ, **store.credentials.environment(), "AWS_REGION": "us-east-1"}
        began = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    return run


def check(store: EmbeddedStore, files: Sequence[Path], prefix: str) -> None:
    """Fails unless the store has every file whole."""
    bucket = Bucket(store.location, store.credentials)
    sizes = {info.key.rpartition("/")[2]: info.size for info in bucket.list(f"{prefix}/")}
    assert sizes == {path.name: path.stat().st_size for path in files}, prefix
    bucket.delete_prefix(f"{prefix}/")


def main() -> None:
    """Measure every side on every set of files, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s5cmd", metavar="PROGRAM", help="the program; without it, boto3 only")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller files")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    sides = {"fedjob": ours, "boto3": by_boto3}
    if given.s5cmd:
        sides["s5cmd"] = by_s5cmd(given.s5cmd)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedStore(Path(folder) / "store", Path(folder) / "store.log") as store,
    ):
        for name, (count, size) in (QUICK if given.quick else SETS).items():
            source = Path(folder) / name.replace(" ", "-")
            source.mkdir()
            files = [source / f"s{index:05d}.zip" for index in range(count)]
            for index, path in enumerate(files):
                path.write_bytes(random.Random(index).randbytes(size))
            seconds: dict[str, list[float]] = {side: [] for side in sides}
            for turn in range(given.turns):
                for side, run in sides.items():
                    prefix = f"{side}-{turn}-{source.name}"
                    seconds[side].append(run(store, files, prefix))
                    check(store, files, prefix)
            medians = {side: statistics.median(values) for side, values in seconds.items()}
            print(f"{name}: {count} x {size / 1e6:.3g} MB, load {os.getloadavg()[0]:.1f}")
            for side, median in medians.items():
                shown = ", ".join(f"{value:.2f}" for value in seconds[side])
                print(f"  {side:<8} {median:7.2f} s  {count * size / 1e6 / median:7.0f} MB/s"
                      f"  ({shown})")  # fmt: skip
            for side, median in medians.items():
                if side != "fedjob":
                    print(f"  ratio to {side}: {median / medians['fedjob']:.2f}")


if __name__ == "__main__":
    main()
