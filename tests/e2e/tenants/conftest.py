"""One release of the chart for all attacks, which serves a victim's and an author's namespace."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.chart import CHART, find_helm
from e2e.chart.release import REGISTRY, Release, kubectl, namespace, run
from e2e.cluster_access.docker_host import gateway
from e2e.tenants.hostile_servers import HostileServer, hostile_server
from e2e.tenants.tenants import Tenants
from support.repository import ROOT


@pytest.fixture(scope="module")
def canary() -> Iterator[HostileServer]:
    """A server that no request may reach."""
    with hostile_server(gateway(), 200, {}) as server:
        yield server


@pytest.fixture(scope="module")
def redirecting_registry(canary: HostileServer) -> Iterator[HostileServer]:
    """A registry that sends every request to the canary."""
    with hostile_server(gateway(), 307, {"Location": f"http://{canary.address}/moved"}) as server:
        yield server


@pytest.fixture(scope="module")
def asking_registry(canary: HostileServer) -> Iterator[HostileServer]:
    """A registry that wants credentials to be sent to the canary."""
    realm = f'Bearer realm="http://{canary.address}/token",service="registry"'
    with hostile_server(gateway(), 401, {"WWW-Authenticate": realm}) as server:
        yield server


@pytest.fixture(scope="module")
def tenants(
    redirecting_registry: HostileServer, asking_registry: HostileServer
) -> Iterator[Tenants]:
    mark = uuid.uuid4().hex[:6]
    system, victim, author = (f"chart-{mark}-{name}" for name in ("system", "victim", "author"))
    values: dict[str, Any] = {
        "imageRegistry": REGISTRY,
        "namespaces": [victim, author],
        "crds": {"install": False},
        "operator": {"image": {"pullPolicy": "Always"}},
        "store": {
            "enabled": True,
            "image": {"pullPolicy": "Always"},
            "persistence": {"enabled": False},
        },
        "jobs": {"repository": f"{REGISTRY}/{mark}"},
        # Registries that are allowed, and turn out to be hostile.
        "builds": {
            "insecure": True,
            "allowedRegistries": [redirecting_registry.address, asking_registry.address],
        },
    }
    release = Release(name=f"fedjob-{mark}", namespace=system, jobs=victim, values=values)
    crds = ("--server-side", "--force-conflicts", "--field-manager=fedjob-e2e")
    kubectl("apply", *crds, "-f", str(ROOT / "crds"))
    for name in (system, victim, author):
        namespace(name)
    try:
        release.notes = release.helm("install", CHART)
        found = Tenants(release, victim, author, f"{REGISTRY}/{mark}")
        found.prepare()
        found.spy()
        yield found
    finally:
        kubectl("delete", "fj", "--all", "-n", victim, "--timeout=60s", check=False)
        kubectl("delete", "fj", "--all", "-n", author, "--timeout=60s", check=False)
        run(find_helm(), "uninstall", release.name, "-n", system, check=False)
        kubectl("delete", "namespace", system, victim, author, "--wait=false")
