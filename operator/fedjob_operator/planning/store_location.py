"""Which store a job uses: the fields of its spec, else the operator's settings."""

from __future__ import annotations

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.config import StoreLocation
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.layout import Layout
from fedjob_operator.state.observed import Defaults


def location_of(job: FederatedJob, defaults: Defaults) -> StoreLocation:
    """The location of the job's objects; the bucket is empty where neither names one."""
    own = job.spec.storage
    return StoreLocation(
        endpoint=own.endpoint or defaults.endpoint,
        region=own.region or defaults.region,
        bucket=own.bucket or defaults.bucket,
        prefix=(own.prefix if own.prefix is not None else defaults.prefix) or "",
    )


def layout_of(job: FederatedJob, defaults: Defaults) -> Layout:
    """The keys of the job's objects."""
    return Layout(job.metadata.namespace, job.metadata.name, location_of(job, defaults).prefix)


def check_store(job: FederatedJob, defaults: Defaults) -> StoreLocation:
    """The location, checked to be complete.

    Raises:
        InvalidInputError: Neither the job nor the operator names a bucket, or keys for it.
    """
    location = location_of(job, defaults)
    faults = []
    if not location.bucket:
        faults.append(
            Fault(
                "spec.storage.bucket",
                "is missing, and the operator has no default bucket",
                "name a bucket (in a new job: storage cannot change), or install the operator "
                "with one",
            )
        )
    if job.spec.storage.secret_ref is None and not defaults.keys:
        faults.append(
            Fault(
                "spec.storage.secretRef",
                "is missing, and the operator has no default keys",
                "name a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        )
    if faults:
        raise InvalidInputError(faults)
    return location
