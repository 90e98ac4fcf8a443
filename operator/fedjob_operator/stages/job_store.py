"""The job's store: its keys, and its buckets as the operator and as the pods see them."""

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
from fedjob_operator.planning.store_location import check_store, layout_of
from fedjob_operator.stages.errors import InputError
from fedjob_operator.state.observed import Defaults

ATTEMPTS = 3
"""Tries of one request: the stage itself is tried again later."""


@dataclass(frozen=True, slots=True)
class JobStore:
    """Where the job's objects are.

    Attributes:
        location: As pods reach it.
        reached: As the operator reaches it.
        credentials: The keys.
        layout: The job's keys of objects.
    """

    location: StoreLocation
    reached: StoreLocation
    credentials: Credentials = field(repr=False)
    layout: Layout

    def bucket(self, name: str = "") -> Bucket:
        """A bucket to read and write; by default the job's own."""
        location = self.reached.model_copy(update={"bucket": name or self.reached.bucket})
        return _opened(location, self.credentials)

    def signing(self, name: str) -> Bucket:
        """A bucket to presign for: the host in a URL is signed, so it is the pods' one."""
        return _opened(self.location.model_copy(update={"bucket": name}), self.credentials)


@lru_cache(maxsize=64)
def _opened(location: StoreLocation, credentials: Credentials) -> Bucket:
    # Shared by all stages of all jobs: making a client takes a processor for a third of a second,
    # in which nothing else of the operator runs.
    return Bucket(location, credentials, attempts=ATTEMPTS)


async def open_store(
    cluster: Cluster, job: FederatedJob, defaults: Defaults, external: str | None
) -> JobStore:
    """The job's store, with its keys read from its Secret or the operator's own.

    Args:
        cluster: Where the Secret is.
        job: The job.
        defaults: The operator's choices.
        external: Under which the operator reaches its default store, where that differs.

    Raises:
        InputError: No bucket, no Secret, or a Secret without keys.
    """
    try:
        location = check_store(job, defaults)
    except InvalidInputError as error:
        raise InputError(Reason.SPEC_INVALID, error) from None
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
    return JobStore(location, reached, credentials, layout_of(job, defaults))


def keys_of(secret: Body | None, namespace: str, name: str) -> dict[str, str]:
    """The AWS_* values of a Secret.

    Raises:
        InputError: It is not there, or lacks one.
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
        fault = Fault("spec.storage.secretRef", problem, f"make it anew: {create}")
        raise InputError(Reason.CREDENTIALS_REFUSED, InvalidInputError([fault]))
    return {
        key: base64.b64decode(value).decode().strip()
        for key, value in data.items()
        if key.startswith("AWS_")
    }
