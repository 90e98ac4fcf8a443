"""Arguments of the hosted service that have no meaning on a cluster or a laptop of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from fedjob.errors import Fault, FedjobWarning, InvalidInputError

WITHOUT_MEANING = {
    "budget": "there is nothing to pay",
    "max_price": "there is nothing to pay",
    "price": "there is nothing to pay",
    "price_per_hour": "there is nothing to pay",
    "worker_price": "there is nothing to pay",
    "worker_prices": "there is nothing to pay",
    "worker_id": "a worker is started for each shard",
    "worker_ids": "a worker is started for each shard",
    "selected_workers": "a worker is started for each shard",
    "s3_access_key_id": "files travel without keys",
    "s3_secret_access_key": "files travel without keys",
    "s3_endpoint": "the store is the cluster's",
    "s3_bucket_alias": "the store is the cluster's",
    "s3_region": "the store is the cluster's",
    "workflow_path": "fedjob's own controller runs the rounds",
    "workflow_args": "fedjob's own controller runs the rounds",
}
"""Argument to why it changes nothing."""


def warn_of_ignored(names: Iterable[str], stacklevel: int = 3) -> None:
    """One warning for all of them; none for none."""
    given = sorted(set(names))
    if given:
        listed = "; ".join(f"{name} ({WITHOUT_MEANING[name]})" for name in given)
        warnings.warn(f"without effect here: {listed}", FedjobWarning, stacklevel=stacklevel)


def check_known(names: Iterable[str], where: str) -> None:
    """Refuse arguments that the service does not have either.

    Raises:
        InvalidInputError: One fault for each.
    """
    faults = [
        Fault(f"{where}: {name}", "is not an argument", "docs/how-to/compat.md lists all of them")
        for name in names
        if name not in WITHOUT_MEANING
    ]
    if faults:
        raise InvalidInputError(faults)
