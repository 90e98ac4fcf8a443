"""Secrets: startup kits, presigned URLs of shards, and the store's keys for the server."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from fedjob.formats import epoch, rfc3339
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import (
    EXPIRES,
    KIT_SET,
    Body,
    annotation,
    kit_name,
    metadata_of,
    pull_name,
    sealed,
    store_name,
    url_name,
)
from fedjob_operator.resources.pod_contract import URL_FILE
from fedjob_operator.state.observed import SignedUrl

LAST_LOG = "fedjob.dev/last-log"
"""Annotation with the number of the last pod that has a form for its log."""
LAST_FILES = "fedjob.dev/last-files"
"""Annotation with the last round that has a form for its files."""
LOGIN = ".dockerconfigjson"
"""The key that Kubernetes gives the docker config JSON of a pull Secret."""
SHARD_KEY = "fedjob.dev/shard"
"""Annotation with the object that a presigned URL reads, as `bucket/key`."""


def kit_secret(job: FederatedJob, holder: str, kit_set: str, files: Mapping[str, bytes]) -> Body:
    """A startup kit; only the pod of its holder mounts it (row 38).

    Args:
        job: The job that owns it.
        holder: `server`, `admin` or a worker.
        kit_set: Name of the set that the kit belongs to.
        files: The four files of the kit, by name.
    """
    worker = holder if holder.startswith("worker-") else ""
    meta = metadata_of(
        job, kit_name(job.metadata.name, holder), worker=worker, annotations={KIT_SET: kit_set}
    )
    return sealed(_secret(meta, files))


def url_secret(job: FederatedJob, worker: str, signed: SignedUrl) -> Body:
    """A worker's presigned URL, with its expiry and its object as annotations."""
    meta = metadata_of(
        job,
        url_name(job.metadata.name, worker),
        worker=worker,
        annotations={
            EXPIRES: rfc3339(signed.expires),
            SHARD_KEY: signed.key,
            LAST_LOG: str(signed.last_log),
            **({LAST_FILES: str(signed.last_files)} if signed.last_files else {}),
        },
    )
    forms = {name: text.encode() for name, text in signed.forms.items()}
    return sealed(_secret(meta, {URL_FILE: signed.url.encode(), **forms}))


def last_log(secret: Body | None) -> int:
    """The last pod of the slot that has a form for its log; -1 where none has."""
    text = annotation(secret, LAST_LOG) if secret is not None else ""
    return int(text) if text.isdigit() else -1


def url_expires(secret: Body | None, key: str) -> float:
    """When the URL in a Secret expires; 0 where there is none, or it reads another object."""
    if secret is None or annotation(secret, SHARD_KEY) != key:
        return 0.0
    return epoch(annotation(secret, EXPIRES)) or 0.0


def last_files(secret: Body | None) -> int:
    """The last round that has a form for its files; 0 where none has."""
    text = annotation(secret, LAST_FILES) if secret is not None else ""
    return int(text) if text.isdigit() else 0


def store_secret(job: FederatedJob, keys: Mapping[str, str]) -> Body:
    """The operator's keys of the store, which only the server mounts."""
    meta = metadata_of(job, store_name(job.metadata.name))
    return sealed(_secret(meta, {name: value.encode() for name, value in keys.items()}))


def needs_pull_secret(image: str, login: str) -> bool:
    """Whether an image comes from the registry that a docker config JSON is for."""
    return bool(login) and image.partition("/")[0] in json.loads(login)["auths"]


def pull_secret(job: FederatedJob, login: str) -> Body:
    """The docker config JSON with which nodes pull the job's image; no pod mounts it."""
    body = _secret(metadata_of(job, pull_name(job.metadata.name)), {LOGIN: login.encode()})
    return sealed({**body, "type": "kubernetes.io/dockerconfigjson"})


def _secret(meta: Body, files: Mapping[str, bytes]) -> Body:
    data = {name: base64.b64encode(content).decode() for name, content in sorted(files.items())}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": meta,
        "data": data,
    }
