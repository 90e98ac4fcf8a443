"""What an author with the right to create FederatedJobs, and no other, can do to others: nothing.

Each attack is tried against the operator of an installed release, and judged by what its victims
saw: the bucket, the registry, the victim's job and a canary server. Needs `make cluster images`.
"""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest

from cluster.chart import CHART, find_helm
from e2e.chart.release import PUSH_REGISTRY, REGISTRY, Release, get, kubectl, run
from e2e.tenants.hostile_servers import HostileServer
from e2e.tenants.tenants import BUCKET, SPY, VICTIM, Tenants
from fedjob.storage.layout import Layout

pytestmark = pytest.mark.e2e


def theirs(tenants: Tenants, rest: str) -> str:
    """An address in the victim's part of the bucket."""
    return f"s3://{BUCKET}/jobs/{tenants.victim}/{VICTIM}/{rest}"


def test_author_may_create_jobs_and_nothing_else(tenants: Tenants) -> None:
    def may(verb: str, resource: str, where: str) -> bool:
        asked = ("can-i", verb, resource, "-n", where, f"--as={tenants.account}")
        return kubectl("auth", *asked, check=False).strip() == "yes"

    assert may("create", "federatedjobs.fedjob.dev", tenants.author)
    others = ["secrets", "pods", "configmaps", "pods/exec", "events"]
    assert [what for what in others if may("get", what, tenants.author)] == []
    assert not may("create", "federatedjobs.fedjob.dev", tenants.victim)


def test_objects_of_another_namespace_are_refused(tenants: Tenants) -> None:
    """A1."""
    attacks: dict[str, dict[str, Any]] = {
        "folder": {"shards": {"uri": theirs(tenants, "shards/")}},
        "item": {
            "shards": {
                "items": [{"name": "a.zip", "uri": theirs(tenants, "shards/a.zip")}],
                "validation": None,
            },
            "federation": {"minClients": 1},
        },
        "source": {"model": {"source": {"uri": theirs(tenants, "scripts/model_def.py")}}},
        "checkpoint": {"model": {"checkpoint": theirs(tenants, "model_out/model.safetensors")}},
        "bucket": {"storage": {"bucket": "another"}},
        "prefix": {"storage": {"prefix": f"jobs/{tenants.victim}"}},
        "dots": {"shards": {"uri": f"s3://{BUCKET}/jobs/{tenants.author}/../{tenants.victim}/"}},
    }
    for name, sections in attacks.items():
        tenants.attack(name, **sections)
    for name in attacks:
        assert tenants.refusals(name) == {"StoreNotAllowed"}, name
        assert tenants.children(tenants.author, name, "secrets") == []
        assert tenants.children(tenants.author, name, "pods") == []
        assert tenants.keys(Layout(tenants.author, name).root) == set(), "nothing was copied"


def test_operator_connects_to_no_store_of_the_authors_choice(
    tenants: Tenants, canary: HostileServer
) -> None:
    """A1, B1: an S3 endpoint is any address that the operator reaches."""
    endpoint = f"http://{canary.address}"
    keys = {"secretRef": {"name": "mine"}}
    tenants.attack("endpoint", storage={"endpoint": endpoint, **keys})
    tenants.attack("metadata", storage={"endpoint": "http://169.254.169.254", **keys})
    for name in ("endpoint", "metadata"):
        assert tenants.refusals(name) == {"StoreNotAllowed"}, name
    assert canary.requests == []


def test_registries_and_repositories_of_others_are_refused(
    tenants: Tenants, canary: HostileServer
) -> None:
    """B1, B2."""
    images = {
        "base": {"base": f"{canary.address}/base:1"},
        "repository": {"repository": f"{canary.address}/jobs"},
        "victims": {"repository": f"{tenants.repository}/{tenants.victim}"},
        "everybodys": {"repository": tenants.repository},
    }
    for name, image in images.items():
        tenants.upload(tenants.author, name)
        tenants.attack(name, image=image)
    for name in images:
        assert tenants.refusals(name) == {"RegistryNotAllowed"}, name
    assert canary.requests == []
    own = tenants.repository.removeprefix(f"{REGISTRY}/")

    def asked(path: str) -> Any:
        with urllib.request.urlopen(f"http://{PUSH_REGISTRY}/v2/{path}") as answer:
            return json.load(answer)

    pushed = {name for name in asked("_catalog?n=1000")["repositories"] if name.startswith(own)}
    assert pushed <= {f"{own}/{tenants.victim}", f"{own}/{tenants.author}"}
    if f"{own}/{tenants.victim}" in pushed:
        assert len(asked(f"{own}/{tenants.victim}/tags/list")["tags"]) == 1


def test_registry_that_turns_hostile_sends_the_operator_nowhere(
    tenants: Tenants,
    canary: HostileServer,
    redirecting_registry: HostileServer,
    asking_registry: HostileServer,
) -> None:
    """B1: redirects, and a token server elsewhere. The registries themselves are allowed."""
    for name, registry in (("moved", redirecting_registry), ("asked", asking_registry)):
        tenants.upload(tenants.author, name)
        tenants.attack(name, image={"base": f"{registry.address}/base:1"})
    assert tenants.refusals("moved") == {"ImageBuildFailed"}
    # The message of a try that failed goes while the next one runs.
    tenants.wait(tenants.author, "moved", lambda status: "307" in status.get("message", ""))
    assert tenants.refusals("asked") == {"RegistryNotAllowed"}
    assert redirecting_registry.paths
    assert asking_registry.paths
    assert canary.requests == []


def owner(cluster: str) -> bytes:
    """The record of a job that ran before the attack."""
    record = {"uid": "uid-of-another", "created": "2020-01-01T00:00:00Z", "cluster": cluster}
    return json.dumps(record).encode()


def test_job_of_another_cluster_keeps_its_rounds(tenants: Tenants) -> None:
    """A5: two clusters with one bucket."""
    layout = Layout(tenants.author, "shared")
    tenants.upload(tenants.author, "shared")
    tenants.put(layout.commit(1), b"{}")
    tenants.put(layout.owner, owner("another-cluster"))
    with tenants.untouched(layout.root):
        tenants.attack("shared", image={"base": f"{REGISTRY}/no/such/image:1"})
        assert tenants.refusals("shared") == {"PrefixInUse"}


def test_job_inherits_nothing_of_an_earlier_one_of_its_name(tenants: Tenants) -> None:
    """A4: its rounds go before anything runs, and its results are not offered."""
    layout = Layout(tenants.author, "again")
    system = get("namespace", "kube-system")["metadata"]["uid"]
    tenants.upload(tenants.author, "again")
    tenants.put(layout.commit(1), b"{}")
    tenants.put(layout.owner, owner(system))
    tenants.attack("again", image={"base": f"{REGISTRY}/no/such/image:1"})
    missing = "BaseImageMissing"
    tenants.wait(tenants.author, "again", lambda status: missing in json.dumps(status))
    keys = tenants.keys(layout.root)
    assert layout.commit(1) not in keys
    assert layout.owner in keys


def as_operator(tenants: Tenants, *arguments: str, body: Any = None) -> str:
    """What kubectl says when the operator's account does this; nothing is changed."""
    command = ("kubectl", *arguments, f"--as={tenants.operator}", "--dry-run=server")
    return run(*command, stdin=json.dumps(body) if body else None, check=False, warnings=True)


def child(tenants: Tenants, kind: str, **more: Any) -> dict[str, Any]:
    """An object of the victim's job, as the operator writes it."""
    job = get("fj", VICTIM, "-n", tenants.victim)["metadata"]
    reference = {
        "apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob", "name": VICTIM,
        "uid": job["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    labels = {"fedjob.dev/job": VICTIM, "app.kubernetes.io/managed-by": "fedjob-operator"}
    meta = {"name": "probe", "namespace": tenants.author, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**meta, "ownerReferences": [reference]},
            **more}  # fmt: skip


def pod(tenants: Tenants, container: Any = None, **spec: Any) -> dict[str, Any]:
    """A pod like those of a job."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return child(
        tenants,
        "Pod",
        spec={
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {"name": "main", "image": "x", "securityContext": security, **(container or {})}
            ],
            **spec,
        },
    )


def test_stolen_account_of_the_operator_writes_objects_of_jobs_only(tenants: Tenants) -> None:
    """E: what RBAC cannot say."""
    where = ("-n", tenants.author)
    fine = (child(tenants, "ConfigMap", data={"a": "b"}), pod(tenants))
    for body in fine:
        assert "created" in as_operator(tenants, "create", *where, "-f", "-", body=body)
    host = {"name": "host", "hostPath": {"path": "/"}}
    token = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    loose = {"securityContext": {"privileged": True}}
    bare = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "bare", "namespace": tenants.author},
    }
    unlabelled = child(tenants, "Secret")
    unlabelled["metadata"]["labels"] = {}
    renamed = child(tenants, "Secret")
    renamed["metadata"]["labels"]["fedjob.dev/job"] = "other"
    refused: dict[str, Any] = {
        "no owner": bare,
        "no label": unlabelled,
        "another job's label": renamed,
        "host path": pod(tenants, volumes=[host]),
        "token": pod(tenants, volumes=[token]),
        "host network": pod(tenants, hostNetwork=True),
        "host pid": pod(tenants, hostPID=True),
        "shared processes": pod(tenants, shareProcessNamespace=True),
        "account": pod(tenants, serviceAccountName="default", automountServiceAccountToken=True),
        "root": pod(tenants, securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
        "privileged": pod(tenants, loose),
        "capabilities": pod(
            tenants, {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {}}}
        ),
        "host port": pod(tenants, {"ports": [{"containerPort": 80, "hostPort": 80}]}),
    }
    for what, body in refused.items():
        answer = as_operator(tenants, "create", *where, "-f", "-", body=body)
        assert "ValidatingAdmissionPolicy" in answer, (what, answer)
        assert "denied request" in answer, (what, answer)


def test_stolen_account_of_the_operator_changes_nothing_of_users(tenants: Tenants) -> None:
    """E."""
    kubectl("create", "secret", "generic", "users", "-n", tenants.victim, "--from-literal=a=b")
    kubectl("create", "configmap", "users", "-n", tenants.victim, "--from-literal=a=b")
    for kind in ("secret", "configmap"):
        deletion = as_operator(tenants, "delete", kind, "users", "-n", tenants.victim)
        assert "objects that a FederatedJob owns" in deletion, deletion
        change = ("patch", kind, "users", "-n", tenants.victim, "-p", '{"data":{"a":"Yw=="}}')
        assert "objects that a FederatedJob owns" in as_operator(tenants, *change)
    listed = run(
        *("kubectl", "get", "secrets", "-n", tenants.victim, f"--as={tenants.operator}"),
        check=False, warnings=True,
    )  # fmt: skip
    assert "cannot list resource" in listed


def rights(account: str, where: str) -> dict[str, set[str]]:
    """What `kubectl auth can-i --list` shows: verbs by resource; rights of everybody left out."""
    shown = kubectl("auth", "can-i", "--list", "-n", where, f"--as={account}")
    found: dict[str, set[str]] = {}
    for line in shown.splitlines()[1:]:
        match = re.fullmatch(r"(\S+)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]\s*", line)
        if match is None or not match[1] or match[1].startswith("self"):
            continue
        names = f" {match[3]}" if match[3] else ""
        found.setdefault(f"{match[1]}{names}", set()).update(match[4].split())
    return {name: verbs for name, verbs in found.items() if not name.startswith("[")}


SERVED = {
    "federatedjobs.fedjob.dev": {"get", "list", "watch", "delete"},
    "federatedjobs.fedjob.dev/status": {"patch"},
    "federatedjobs.fedjob.dev/finalizers": {"update"},
    **{
        name: {"get", "list", "watch", "create", "patch", "delete"}
        for name in ("pods", "services", "configmaps", "networkpolicies.networking.k8s.io")
    },
    "secrets": {"get", "create", "patch", "delete"},
    "events": {"create", "patch"},
}
EVERYWHERE = {"nodes": {"list"}, "namespaces kube-system": {"get"}}
OWN = {
    "leases.coordination.k8s.io": {"create"},
    "leases.coordination.k8s.io fedjob-operator": {"get", "update"},
    "configmaps fedjob-images": {"get", "patch"},
}


def test_rights_of_the_operator_of_some_namespaces(tenants: Tenants) -> None:
    """E, as `kubectl auth can-i --list` shows them."""
    assert rights(tenants.operator, tenants.victim) == {**SERVED, **EVERYWHERE}
    assert rights(tenants.operator, "default") == EVERYWHERE
    # Everybody may forward a port to the tunnel of the store.
    tunnel = f"{tenants.release.name}-tunnel-0"
    everybodys = {f"pods {tunnel}": {"get"}, f"pods/portforward {tunnel}": {"create", "get"}}
    own = {**OWN, **EVERYWHERE, **everybodys}
    assert rights(tenants.operator, tenants.release.namespace) == own


def test_rights_of_the_operator_of_the_whole_cluster(tenants: Tenants) -> None:
    """E, the other mode."""
    wide = Release(
        name="fedjob-wide", namespace=tenants.author, jobs="default",
        values={"imageRegistry": REGISTRY, "clusterWide": True, "operator": {"replicas": 0},
                "crds": {"install": False}},
    )  # fmt: skip
    account = f"system:serviceaccount:{wide.namespace}:{wide.name}-operator"
    try:
        wide.helm("install", CHART)
        assert rights(account, "default") == {**SERVED, **EVERYWHERE}
        assert rights(account, "kube-system") == {**SERVED, **EVERYWHERE}
        assert rights(account, wide.namespace) == {**SERVED, **OWN, **EVERYWHERE}
    finally:
        run(find_helm(), "uninstall", wide.name, "-n", wide.namespace, check=False)


def test_code_of_the_author_finds_no_keys(tenants: Tenants) -> None:
    """A2: it runs in the federation's container of the server, and in a worker."""
    tenants.wait(tenants.author, SPY, lambda found: found.get("state") in {"Complete", "Failed"})
    status = tenants.status(tenants.author, SPY)
    assert status["state"] == "Complete", tenants.described(tenants.author, SPY)
    pods = tenants.children(tenants.author, SPY, "pods")
    assert pods == [f"{SPY}-server", f"{SPY}-worker-0"]
    for pod_name in pods:
        log = kubectl("logs", pod_name, "-n", tenants.author, "--all-containers")
        assert "SPY found []." in log, f"{pod_name}\n{log[-4000:]}"


def test_victims_job_completes_and_its_secrets_go(tenants: Tenants) -> None:
    """A4. It has run beside all attacks."""
    tenants.wait(tenants.victim, VICTIM, lambda found: found.get("state") in {"Complete", "Failed"})
    status = tenants.status(tenants.victim, VICTIM)
    assert status["state"] == "Complete", tenants.described(tenants.victim, VICTIM)
    assert status["server"].get("restarts", 0) == 0
    tenants.wait(
        tenants.victim,
        VICTIM,
        lambda _: not tenants.children(tenants.victim, VICTIM, "secrets"),
    )
    assert tenants.children(tenants.victim, VICTIM, "pods")
    log = kubectl("logs", f"{VICTIM}-server", "-n", tenants.victim, "--all-containers", check=False)
    assert log
    assert tenants.author not in log
    stored = tenants.keys(f"jobs/{tenants.victim}/")
    assert {key.split("/")[2] for key in stored} == {VICTIM}
    assert Layout(tenants.victim, VICTIM).result("model.safetensors") in stored
