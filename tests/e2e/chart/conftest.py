"""One release of the chart for all tests, in namespaces with Pod Security `restricted`."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator

import pytest

from cluster.chart import CHART, find_helm
from e2e.chart.release import (
    CRD,
    NODE,
    PUSH_REGISTRY,
    REGISTRY,
    Release,
    get,
    kubectl,
    namespace,
    run,
)


@pytest.fixture(scope="module", autouse=True)
def crd() -> Iterator[None]:
    """Restores the CRD's metadata, since other tests rely on this cluster-wide object.

    A CRD that this module installed stays, without the labels that mark the release as its owner.
    """
    before = kubectl("get", "crd", CRD, "--ignore-not-found", "-o", "json")
    meta = json.loads(before)["metadata"] if before else {}
    yield
    now = get("crd", CRD)["metadata"]
    fields = {
        name: dict.fromkeys(now.get(name, {})) | meta.get(name, {})
        for name in ("annotations", "labels")
    }
    kubectl("patch", "crd", CRD, "--type=merge", "-p", json.dumps({"metadata": fields}))


@contextlib.contextmanager
def local_volume() -> Iterator[str]:
    """The storage class of one local volume on a node."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    folder = f"/var/lib/{name}"
    run("docker", "exec", NODE, "mkdir", folder)
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "local": {"path": folder},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/hostname",
                                    "operator": "In",
                                    "values": [NODE],
                                }
                            ]
                        }
                    ]
                }
            },
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    yield name
    kubectl("delete", "pv", name, "--wait=false")
    run("docker", "exec", NODE, "rm", "-rf", folder)


@pytest.fixture(scope="module")
def volume() -> Iterator[str]:
    """For the release's store."""
    with local_volume() as name:
        yield name


@pytest.fixture
def other_volume() -> Iterator[str]:
    """For the store of another release."""
    with local_volume() as name:
        yield name


@pytest.fixture(scope="module")
def registry_image() -> str:
    """The image of the cluster's own registry, pushed to where nodes can pull it."""
    image = run("docker", "inspect", "-f", "{{.Image}}", "fedjob-registry").strip()
    run("docker", "tag", image, f"{PUSH_REGISTRY}/e2e/registry:2")
    run("docker", "push", "-q", f"{PUSH_REGISTRY}/e2e/registry:2")
    return "e2e/registry"


@pytest.fixture(scope="module")
def release(volume: str, registry_image: str) -> Iterator[Release]:
    """The chart in namespaced mode, with its embedded store and registry."""
    mark = uuid.uuid4().hex[:6]
    release = Release(
        name=f"fedjob-{mark}",
        namespace=f"chart-{mark}",
        jobs=f"chart-{mark}-jobs",
        values={
            "imageRegistry": REGISTRY,
            "namespaces": [f"chart-{mark}-jobs"],
            "operator": {"image": {"pullPolicy": "Always"}},
            "store": {
                "enabled": True,
                "image": {"pullPolicy": "Always"},
                "persistence": {"storageClass": volume, "size": "1Gi"},
            },
            "registry": {
                "enabled": True,
                "image": {"repository": registry_image},
                "persistence": {"enabled": False},
            },
        },
    )
    namespace(release.namespace)
    namespace(release.jobs)
    try:
        release.notes = release.helm("install", CHART)
        yield release
    finally:
        run(find_helm(), "uninstall", release.name, "-n", release.namespace, check=False)
        kubectl("delete", "namespace", release.namespace, release.jobs, "--wait=false")
