"""Which objects a job may read and write: the boundary between tenants of one store.

A job's author is trusted with the objects of the job's own namespace. The operator's keys reach the
objects of every namespace, so a job that runs with them is held to `<prefix>/jobs/<namespace>/` and
to what the operator's settings share. A job with a Secret of its own is held by that Secret's
permissions; its endpoint must be one that the operator may connect to.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from fedjob.errors import Fault
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.layout import Layout
from fedjob_operator.planning.store_location import location_of
from fedjob_operator.state.observed import Defaults

ANY_ENDPOINT = "*"
"""The entry of the allowed endpoints that stands for all of them."""
_OWN_KEYS_FIX = "or name a Secret with keys of your own in spec.storage.secretRef"


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def access_faults(job: FederatedJob, defaults: Defaults) -> list[Fault]:
    """Every object of the job's spec that it may not use with the keys that it runs with.

    Args:
        job: The job.
        defaults: The operator's store and what it shares.

    Returns:
        One fault per field; empty where all is allowed.
    """
    faults = list(_endpoint_faults(job, defaults))
    if job.spec.storage.secret_ref is not None:
        return faults
    faults += _location_faults(job, defaults)
    allowed = (_own_root(job, defaults), *defaults.shared)
    for where, uri in _uris(job):
        if not any(_is_below(uri, root) for root in allowed):
            namespace = job.metadata.namespace
            faults.append(
                Fault(
                    where,
                    f"{uri} is outside what namespace {namespace} may read with the operator's "
                    "keys",
                    f"put it under {allowed[0]}, ask the operator's owner to list it in "
                    f"storage.shared, {_OWN_KEYS_FIX}",
                )
            )
    return faults


def _own_root(job: FederatedJob, defaults: Defaults) -> str:
    layout = Layout(job.metadata.namespace, job.metadata.name, defaults.prefix)
    return f"s3://{defaults.bucket}/{layout.namespace_root}"


def _is_below(uri: str, root: str) -> bool:
    key = split_uri(uri)[1]
    # Some stores resolve empty segments, `.` and `..` as a file system does.
    segments = key.removesuffix("/").split("/") if key else []
    if "\\" in key or any(part in {"", ".", ".."} for part in segments):
        return False
    return uri.startswith(root)


def _uris(job: FederatedJob) -> Iterator[tuple[str, str]]:
    """Every object or prefix that the spec names, with its field."""
    model, shards = job.spec.model, job.spec.shards
    if model.source.uri is not None:
        yield "spec.model.source.uri", model.source.uri
    for index, file in enumerate(model.files):
        if file.uri is not None:
            yield f"spec.model.files[{index}].uri", file.uri
    if model.checkpoint is not None:
        yield "spec.model.checkpoint", model.checkpoint
    if shards.uri is not None:
        # The operator lists `prefix/`, whether the slash was written or not.
        yield "spec.shards.uri", shards.uri if shards.uri.endswith("/") else f"{shards.uri}/"
    for index, item in enumerate(shards.items or []):
        yield f"spec.shards.items[{index}].uri", item.uri


def _location_faults(job: FederatedJob, defaults: Defaults) -> Iterator[Fault]:
    location = location_of(job, defaults)
    if location.bucket != defaults.bucket:
        problem = f"{location.bucket!r} is not the operator's bucket, whose keys the job uses"
        yield Fault("spec.storage.bucket", problem, f"leave it out, {_OWN_KEYS_FIX}")
    if location.prefix.strip("/") != defaults.prefix.strip("/"):
        problem = f"{location.prefix!r} is not the operator's prefix, whose keys the job uses"
        yield Fault("spec.storage.prefix", problem, f"leave it out, {_OWN_KEYS_FIX}")


def _endpoint_faults(job: FederatedJob, defaults: Defaults) -> Iterator[Fault]:
    endpoint = job.spec.storage.endpoint
    if endpoint is None or ANY_ENDPOINT in defaults.allowed_endpoints:
        return
    known = {_address(url) for url in defaults.allowed_endpoints}
    if defaults.endpoint:
        known.add(_address(defaults.endpoint))
    if _address(endpoint) not in known:
        yield Fault(
            "spec.storage.endpoint",
            f"the operator may not connect to {endpoint}",
            "leave it out for the operator's own store, or ask the operator's owner to list it in "
            "storage.allowedEndpoints",
        )


def _address(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port
