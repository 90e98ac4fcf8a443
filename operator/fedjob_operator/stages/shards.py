"""Finds the job's shards in S3 and checks them by ranged reads, without a download (row 21)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec.models.fields import SHARD_NAME
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.shards import MAX_SHARDS
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import ObjectMissingError
from fedjob.storage.layout import Layout
from fedjob.workspace.shard.archive import ShardInfo
from fedjob_operator.planning.store_access import split_uri
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.inspection import Inspector

MAX_FAULTS = 20


@dataclass(frozen=True, slots=True)
class FoundShard:
    """A shard in the store.

    Attributes:
        name: The file name.
        bucket: The bucket's name.
        key: The object key.
        sha256: The expected checksum, if the job gives one.
    """

    name: str
    bucket: str
    key: str
    sha256: str | None = None


def find_shards(
    job: FederatedJob, layout: Layout, own: str, open_bucket: Callable[[str], Bucket]
) -> list[FoundShard]:
    """All shards of the job, including the validation shard, sorted by file name.

    Args:
        job: The job.
        layout: The job's object keys.
        own: Name of the job's bucket.
        open_bucket: Opens a bucket by name.

    Raises:
        InputError: There are no shards, too many, or some with invalid names.
        StoreError: The store cannot be read.
    """
    spec = job.spec.shards
    if spec.upload is not None:
        found = [FoundShard(f.name, own, layout.shard(f.name), f.sha256) for f in spec.upload.files]
        return sorted(found, key=lambda shard: shard.name)
    if spec.items is not None:
        places = ((item, split_uri(item.uri)) for item in spec.items)
        found = [FoundShard(i.name, bucket, key, i.sha256) for i, (bucket, key) in places]
        return sorted(found, key=lambda shard: shard.name)
    bucket, prefix = split_uri(spec.uri) if spec.uri is not None else (own, layout.shards)
    prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    listed = open_bucket(bucket).list(prefix)
    zips = (info.key for info in listed if info.key.lower().endswith(".zip"))
    keys = list(islice(zips, MAX_SHARDS + 2))  # with the validation shard, and one too many
    found = [FoundShard(key.rpartition("/")[2], bucket, key) for key in keys]
    faults = list(_listing_faults(found, f"s3://{bucket}/{prefix}", spec.validation))
    if faults:
        raise InputError(Reason.SHARDS_MISSING, InvalidInputError(faults))
    return sorted(found, key=lambda shard: shard.name)


def _listing_faults(found: list[FoundShard], where: str, validation: str | None) -> list[Fault]:
    if not found:
        fix = "upload one ZIP per worker there: the operator checks again"
        return [Fault("spec.shards", f"{where} holds no .zip", fix)]
    faults = []
    if len(found) > MAX_SHARDS + 1:
        fix = f"merge some: a job has at most {MAX_SHARDS} workers"
        problem = f"{where} holds more than {MAX_SHARDS + 1} ZIPs"
        faults.append(Fault("spec.shards", problem, fix))
    seen: dict[str, str] = {}
    for shard in found:
        if not re.match(SHARD_NAME, shard.name):
            fix = "rename it: letters, digits, `.`, `_` and `-`, ending in .zip"
            faults.append(Fault(f"s3://{shard.bucket}/{shard.key}", "has an unusable name", fix))
        if shard.name in seen:
            fix = "give every shard its own file name"
            problem = f"{seen[shard.name]} and {shard.key} have the same file name"
            faults.append(Fault("spec.shards", problem, fix))
        seen[shard.name] = shard.key
    if validation is not None and validation not in seen:
        fix = "upload it, or use another name in a new job"
        faults.append(Fault("spec.shards.validation", f"{where} has no {validation}", fix))
    if validation in seen and len(seen) == 1:
        fix = "upload a shard to train on"
        faults.append(Fault("spec.shards", f"{where} holds only the validation shard", fix))
    return faults[:MAX_FAULTS]


def inspect_all(
    shards: list[FoundShard],
    manifest_file: str,
    open_bucket: Callable[[str], Bucket],
    needs_manifest: Callable[[str], bool],
) -> list[ShardInfo]:
    """What all shards hold, in the given order.

    Raises:
        InputError: All faults of all shards, with the reason of the first.
        StoreError: The store cannot be read.
    """
    reasons: list[Reason] = []
    faults: list[Fault] = []

    def inspect(inspector: Inspector, shard: FoundShard) -> ShardInfo | InvalidInputError:
        bucket = open_bucket(shard.bucket)
        try:
            info = bucket.head(shard.key)
            if shard.sha256 and info is not None and info.sha256 not in (None, shard.sha256):
                problem = f"has SHA-256 {info.sha256}, spec.shards says {shard.sha256}"
                fix = "upload the right file, or name the right checksum in a new job"
                fault = Fault(shard.name, problem, fix)
                return InputError(Reason.CHECKSUM_MISMATCH, InvalidInputError([fault]))
            with bucket.open_seekable(shard.key) as file:
                needed = needs_manifest(shard.name)
                return inspector.inspect(file, shard.name, manifest_file, needs_manifest=needed)
        except ObjectMissingError:
            fault = Fault(
                shard.name,
                f"s3://{shard.bucket}/{shard.key} does not exist",
                "upload it: the operator checks again",
            )
            return InputError(Reason.OBJECT_MISSING, InvalidInputError([fault]))
        except InvalidInputError as error:
            return error

    with Inspector() as inspector:
        answers = [inspect(inspector, shard) for shard in shards]
    infos = []
    for answer in answers:
        if isinstance(answer, InvalidInputError):
            reasons.append(answer.reason)
            faults += answer.faults
        else:
            infos.append(answer)
    if faults:
        raise InputError(reasons[0], InvalidInputError(faults[:MAX_FAULTS]))
    return infos
