"""The job's store: its credentials, and its buckets as operator and pods reach them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import lru_cache

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.config import StoreLocation
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.layout import Layout
from fedjob_operator.kube.client import Cluster
from fedjob_operator.naming import Body
from fedjob_operator.planning.store_access import access_faults
from fedjob_operator.planning.store_location import check_store, layout_of
from fedjob_operator.stages.errors import InputError
from fedjob_operator.state.observed import Defaults

ATTEMPTS = 3
"""Attempts per request; the stage itself is retried later."""


@dataclass(frozen=True, slots=True)
class JobStore:
    """The location of the job's objects, with credentials.

    Attributes:
        location: The store as pods reach it.
        reached: The store as the operator reaches it.
        credentials: The access keys.
        layout: The job's object keys.
        default: Whether it is the operator's default store.
    """

    location: StoreLocation
    reached: StoreLocation
    credentials: Credentials = field(repr=False)
    layout: Layout
    default: bool = True

    def bucket(self, name: str = "") -> Bucket:
        """A bucket for reading and writing; by default the job's own."""
        location = self.reached.model_copy(update={"bucket": name or self.reached.bucket})
        return _opened(location, self.credentials)

    def for_clients(self, endpoint: str | None) -> Bucket:
        """The job's bucket for presigning requests of clients outside the cluster.

        Args:
            endpoint: URL under which they reach the operator's default store; None: the one under
                which the operator does.
        """
        location = self.reached
        if endpoint is not None and self.default:
            location = location.model_copy(update={"endpoint": endpoint})
        return _opened(location, self.credentials)

    def signing(self, name: str) -> Bucket:
        """A bucket for presigning: a URL's host is signed, so it must be the one that pods use."""
        return _opened(self.location.model_copy(update={"bucket": name}), self.credentials)


@lru_cache(maxsize=64)
def _opened(location: StoreLocation, credentials: Credentials) -> Bucket:
    # Cached for all stages of all jobs: creating a client takes 0.3 s of CPU and blocks the loop.
    return Bucket(location, credentials, attempts=ATTEMPTS)


async def open_store(
    cluster: Cluster, job: FederatedJob, defaults: Defaults, external: str | None
) -> JobStore:
    """Opens the job's store with the keys of the job's Secret, or with the operator's own.

    Args:
        cluster: Reads the Secret.
        job: The job.
        defaults: The operator's defaults.
        external: Endpoint of the default store outside the cluster, if the operator runs there.

    Raises:
        InputError: No bucket, no Secret, a Secret without keys, or something in the spec that the
            job may not use with them.
    """
    try:
        location = check_store(job, defaults)
    except InvalidInputError as error:
        raise InputError(Reason.SPEC_INVALID, error) from None
    refused = access_faults(job, defaults)
    if refused:
        raise InputError(Reason.STORE_NOT_ALLOWED, InvalidInputError(refused))
    reached = location
    if external and location.endpoint == defaults.endpoint:
        reached = location.model_copy(update={"endpoint": external})
    ref = job.spec.storage.secret_ref
    if ref is None:
        keys = dict(defaults.keys)
    else:
        namespace = job.metadata.namespace
        keys = keys_of(await cluster.get("v1", "Secret", namespace, ref.name), namespace, ref.name)
    credentials = Credentials(
        keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys.get("AWS_SESSION_TOKEN")
    )
    return JobStore(
        location=location,
        reached=reached,
        credentials=credentials,
        layout=layout_of(job, defaults),
        default=location.endpoint == defaults.endpoint,
    )


def keys_of(secret: Body | None, namespace: str, name: str) -> dict[str, str]:
    """The AWS_* values of a Secret.

    Raises:
        InputError: The Secret does not exist, or lacks a key.
    """
    where = f"Secret {namespace}/{name}"
    create = (
        f"kubectl -n {namespace} create secret generic {name} "
        "--from-literal=AWS_ACCESS_KEY_ID=... --from-literal=AWS_SECRET_ACCESS_KEY=..."
    )
    if secret is None:
        fault = Fault("spec.storage.secretRef", f"{where} does not exist", f"create it: {create}")
        raise InputError(Reason.CREDENTIALS_REFUSED, InvalidInputError([fault]))
    data = secret.get("data") or {}
    missing = [k for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not data.get(k)]
    if missing:
        problem = f"{where} has no {' and no '.join(missing)}"
        fault = Fault("spec.storage.secretRef", problem, f"create it again: {create}")
        raise InputError(Reason.CREDENTIALS_REFUSED, InvalidInputError([fault]))
    return {
        key: base64.b64decode(value).decode().strip()
        for key, value in data.items()
        if key.startswith("AWS_")
    }
