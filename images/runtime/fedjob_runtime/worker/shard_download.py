"""Brings the worker's own shard: a presigned GET, checked, unpacked; skipped where it is here."""

from __future__ import annotations

import hashlib
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from fedjob.errors import Fault, FedjobError, InvalidInputError, UnavailableError
from fedjob.protocol.config import WorkerConfig
from fedjob.reasons import Reason
from fedjob.workspace.shard.archive import unpack_shard
from fedjob_runtime.atomic_json import read_json, write_json

PATIENCE_SECONDS = 600.0
"""How long a store out of reach is waited for before the process gives up and is restarted."""
TIMEOUT_SECONDS = 30.0
RECORDED_SHA256 = "x-amz-meta-sha256"
"""The checksum that fedjob records with what it uploads."""
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class ShardUnavailableError(UnavailableError):
    """The shard cannot be had now; trying again may help."""

    reason = Reason.STORE_UNREACHABLE


class ShardMissingError(InvalidInputError):
    """The shard is not in the store."""

    reason = Reason.OBJECT_MISSING


class ShardRefusedError(FedjobError):
    """The store does not give the shard."""

    reason = Reason.CREDENTIALS_REFUSED


class ShardChecksumError(InvalidInputError):
    """What the store has is not what was uploaded, or not what the job says."""

    reason = Reason.CHECKSUM_MISMATCH


def prepare_shard(
    config: WorkerConfig,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Downloads and unpacks the shard to home/shard, or finds it there from an earlier start.

    Args:
        config: Says where the URL is; its file is read at each try, since it may be renewed.
        say: Takes lines for the log.
        clock: Seconds.
        sleep: Waits for seconds.

    Returns:
        The folder with the shard's files.

    Raises:
        InvalidInputError: The shard is not there, or is another or no shard; trying again does not
            help.
        ShardUnavailableError: The store could not be reached for PATIENCE_SECONDS.
    """
    home = Path(config.home)
    folder, marker = home / "shard", home / "shard.json"
    archive = home / "shard.zip"
    deadline = clock() + PATIENCE_SECONDS
    delay = 0.5
    while True:
        try:
            etag = _download(config, archive, marker if folder.is_dir() else None)
            break
        except urllib.error.HTTPError as error:
            error.close()
            _refuse_for_good(config, error)
            problem = f"the store answered {error.code} {error.reason}"
        except (OSError, urllib.error.URLError) as error:
            problem = str(error)
        if clock() > deadline:
            msg = (
                f"{config.worker}: shard {config.shard} could not be fetched: {problem}; "
                "check that the worker reaches the store, and that its URL is renewed"
            )
            raise ShardUnavailableError(msg)
        say(f"shard {config.shard}: {problem}; trying again in {delay:.1f} s")
        sleep(delay)
        delay = min(delay * 2, 15.0)
    if etag is None:
        say(f"shard {config.shard} is here already")
        return folder
    # Whether it needs a manifest was checked before the job started.
    unpack_shard(archive, folder, manifest_file=None, name=config.shard)
    write_json(marker, {"etag": etag})
    archive.unlink()
    say(f"shard {config.shard} is ready")
    return folder


def _download(config: WorkerConfig, archive: Path, marker: Path | None) -> str | None:
    """The ETag of what was downloaded; None where the marker says that it is unpacked already."""
    url = Path(config.shard_url_file).read_text().strip()
    if not url.startswith(("http://", "https://")):
        raise InvalidInputError(
            [
                Fault(
                    config.shard_url_file, "holds no http(s) URL", "write a presigned GET URL to it"
                )
            ]
        )
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 (checked)
        etag = str(response.headers.get("ETag", ""))
        known = read_json(marker) if marker else None
        if etag and known is not None and known["etag"] == etag:
            return None
        with open(archive, "wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
        expected = response.headers.get("Content-Length")
        if expected is not None and archive.stat().st_size != int(expected):
            msg = f"the store sent {archive.stat().st_size} of {expected} bytes"
            raise OSError(msg)
        _check_sum(config, archive, response.headers.get(RECORDED_SHA256))
    return etag or "unknown"


def _check_sum(config: WorkerConfig, archive: Path, recorded: str | None) -> None:
    known = (
        (config.sha256, "spec.shards says", "upload the file that it names"),
        (recorded, "at its upload it had", "upload it again"),
    )
    if not any(expected for expected, _, _ in known):
        return  # a shard is large: it is not read once more for nothing
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    for expected, whose, fix in known:
        if expected and found != expected.lower():
            problem = f"has SHA-256 {found}, {whose} {expected}"
            raise ShardChecksumError([Fault(f"shard {config.shard}", problem, fix)])


def _refuse_for_good(config: WorkerConfig, error: urllib.error.HTTPError) -> None:
    if error.code == 404:
        raise ShardMissingError(
            [
                Fault(
                    f"shard {config.shard}",
                    f"is not in the store ({config.worker} got 404)",
                    "upload it again, under the name it had when the job was submitted",
                )
            ]
        ) from error
    # An expired URL is answered 403: the engine renews the file, so it is tried again.
    if error.code not in _RETRIED and error.code != 403:
        msg = (
            f"{config.worker}: shard {config.shard} was refused: {error.code} {error.reason}; "
            "check the store's policy for presigned URLs"
        )
        raise ShardRefusedError(msg) from error
