"""What the job's image holds of the author: model_def.py and the files beside it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.transfer import MODEL_SOURCE, model_file_path
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.model import ARCHIVE_SUFFIXES, ModelFile
from fedjob.workspace.files.archive import is_archive, unpack_files
from fedjob.workspace.files.rules import DEFAULT_LIMITS, file_faults
from fedjob.workspace.source.decode import ModelSource, read_source, text_source
from fedjob_operator.kube.client import Cluster
from fedjob_operator.planning.store_access import split_uri
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.job_store import JobStore

MODEL_FILE = "model_def.py"


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """The author's files.

    Attributes:
        source: The model file.
        files: The other files, by path relative to it.
    """

    source: ModelSource
    files: dict[str, bytes] = field(repr=False)


async def read_model(cluster: Cluster, job: FederatedJob, store: JobStore) -> ModelInputs:
    """Reads model_def.py and `spec.model.files`.

    Raises:
        InputError: A ConfigMap or its key does not exist, or something cannot be used.
        StoreError: An object does not exist, or the store cannot be reached.
    """
    source = await read_source_file(cluster, job, store)
    files: dict[str, bytes] = {}
    faults: list[Fault] = []
    for index, item in enumerate(job.spec.model.files):
        where = f"spec.model.files[{index}]"
        try:
            files |= await _read_file(cluster, job, store, item, where)
        except InputError:
            raise
        except InvalidInputError as error:
            faults += [Fault(f"{where}: {f.field}", f.problem, f.fix) for f in error.faults]
    files |= await run_blocking(_uploaded_files, store, job)
    # A whole folder of code in S3 holds the model file too, as `--model-file DIR` does.
    again = files.pop(MODEL_FILE, source.content)
    if again != source.content:
        problem = f"hold a {MODEL_FILE} that differs from spec.model.source"
        faults.append(Fault("spec.model.files", problem, "remove one of the two"))
    faults += file_faults(files, "spec.model.files")
    if faults:
        raise InputError(Reason.SOURCE_INVALID, InvalidInputError(faults))
    return ModelInputs(source, files)


async def read_source_file(cluster: Cluster, job: FederatedJob, store: JobStore) -> ModelSource:
    """The model file.

    Raises:
        InputError: The ConfigMap or its key does not exist, or it is not text.
        StoreError: The object does not exist.
    """
    source = job.spec.model.source
    try:
        if source.inline is not None:
            return text_source(source.inline, MODEL_FILE)
        if source.config_map_ref is not None:
            ref = source.config_map_ref
            data = await _config_map_key(
                cluster, job, ref.name, ref.key, "spec.model.source.configMapRef"
            )
            return read_source(data, MODEL_FILE if ref.key.endswith(".py") else ref.key)
        if source.upload is not None:
            digest = source.upload.sha256
            data = await run_blocking(_uploaded, store, MODEL_SOURCE, digest)
            return read_source(data, MODEL_FILE)
        uri = source.uri or ""
        name = uri if uri.endswith(".ipynb") else "spec.model.source.uri"
        return read_source(await run_blocking(_object, store, uri), name)
    except InputError:
        raise
    except InvalidInputError as error:
        raise InputError(Reason.SOURCE_INVALID, error) from None


async def _read_file(
    cluster: Cluster, job: FederatedJob, store: JobStore, item: ModelFile, where: str
) -> dict[str, bytes]:
    if item.text is not None:
        return {item.path: item.text.encode()}
    if item.config_map_key_ref is not None:
        ref = item.config_map_key_ref
        field_name = f"{where}.configMapKeyRef"
        return {item.path: await _config_map_key(cluster, job, ref.name, ref.key, field_name)}
    uri = item.uri or ""
    if uri.endswith("/"):
        return await run_blocking(_prefix, store, uri, item.path)
    data = await run_blocking(_object, store, uri)
    suffix = next((end for end in ARCHIVE_SUFFIXES if uri.endswith(end)), "")
    if is_archive(uri) and not item.path.endswith(suffix):
        unpacked = await run_blocking(unpack_files, data, uri)
        return {_below(item.path, path): content for path, content in unpacked.items()}
    return {item.path: data}


async def _config_map_key(
    cluster: Cluster, job: FederatedJob, name: str, key: str, where: str
) -> bytes:
    namespace = job.metadata.namespace
    found: Mapping[str, Any] | None = await cluster.get("v1", "ConfigMap", namespace, name)
    text = ((found or {}).get("data") or {}).get(key)
    if isinstance(text, str):
        return text.encode()
    # What is not UTF-8 text, kubectl puts there.
    binary = ((found or {}).get("binaryData") or {}).get(key)
    if isinstance(binary, str):
        try:
            return base64.b64decode(binary, validate=True)
        except binascii.Error:
            pass
    what = f"has no key {key}" if found is not None else "does not exist"
    fix = f"create it: kubectl -n {namespace} create configmap {name} --from-file={key}={key}"
    fault = Fault(where, f"ConfigMap {namespace}/{name} {what}", fix)
    raise InputError(Reason.SOURCE_INVALID, InvalidInputError([fault]))


def _object(store: JobStore, uri: str) -> bytes:
    bucket, key = split_uri(uri)
    info = store.bucket(bucket).head(key)
    if info is not None:
        _check_size(uri, info.size)
    return store.bucket(bucket).get_bytes(key, DEFAULT_LIMITS.max_file_bytes)


def _uploaded_files(store: JobStore, job: FederatedJob) -> dict[str, bytes]:
    """What a client has sent beside model_def.py, by path."""
    upload = job.spec.model.upload
    sent = upload.files if upload is not None else []
    total, most = sum(file.size for file in sent), DEFAULT_LIMITS.max_total_bytes
    if total > most:
        problem = f"hold {total} bytes; at most {most} are allowed"
        fault = Fault("spec.model.upload.files", problem, "put data into the shards")
        raise InputError(Reason.SOURCE_INVALID, InvalidInputError([fault]))
    return {file.path: _uploaded(store, model_file_path(file.path), file.sha256) for file in sent}


def _uploaded(store: JobStore, path: str, sha256: str) -> bytes:
    """A file that a client has sent, with the bytes that it announced.

    Raises:
        InputError: It has other bytes: somebody with keys of the store has replaced it.
    """
    bucket, key = store.bucket(), store.layout.root + path
    data = bucket.get_bytes(key, DEFAULT_LIMITS.max_file_bytes)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        problem = f"has SHA-256 {found}, the job names {sha256}"
        fault = Fault(bucket.uri(key), problem, "delete the job and submit it again")
        raise InputError(Reason.CHECKSUM_MISMATCH, InvalidInputError([fault]))
    return data


def _prefix(store: JobStore, uri: str, path: str) -> dict[str, bytes]:
    name, prefix = split_uri(uri)
    bucket = store.bucket(name)
    files: dict[str, bytes] = {}
    total = 0
    for info in bucket.list(prefix):
        relative = info.key.removeprefix(prefix)
        if not relative or relative.endswith("/"):
            continue  # a folder, as consoles make them
        total += info.size
        _check_size(f"{uri}{relative}", info.size)
        if total > DEFAULT_LIMITS.max_total_bytes or len(files) >= DEFAULT_LIMITS.max_files:
            problem = (
                f"holds more than {DEFAULT_LIMITS.max_total_bytes} bytes or "
                f"{DEFAULT_LIMITS.max_files} files"
            )
            raise InvalidInputError([Fault(uri, problem, "put data into the shards")])
        files[_below(path, relative)] = bucket.get_bytes(info.key, DEFAULT_LIMITS.max_file_bytes)
    if not files:
        raise InvalidInputError([Fault(uri, "holds no object", "upload the files there")])
    return files


def _check_size(uri: str, size: int) -> None:
    if size > DEFAULT_LIMITS.max_file_bytes:
        problem = f"has {size} bytes; at most {DEFAULT_LIMITS.max_file_bytes} are allowed"
        raise InvalidInputError([Fault(uri, problem, "put data into the shards")])


def _below(folder: str, path: str) -> str:
    return path if folder == "." else f"{folder}/{path}"
