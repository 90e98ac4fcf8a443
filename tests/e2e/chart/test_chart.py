"""The chart on the project's cluster: installed, used, upgraded and uninstalled without residue.

One release for all tests, in namespaces that enforce Pod Security `restricted`. Needs the cluster
(`make cluster`) with the project's images in its registry (`make images`).
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.chart import CHART, find_helm
from e2e.chart.release import (
    CRD,
    NODE,
    PATIENCE,
    PUSH_REGISTRY,
    REGISTRY,
    Release,
    get,
    holder,
    kubectl,
    namespace,
    remaining_objects,
    run,
    wait_for_state,
)
from e2e.cluster_access.kube import Kube
from fedjob import __version__
from support.repository import ROOT

pytestmark = pytest.mark.e2e

PREVIOUS = ROOT / "tests/support/previous_release"
"""Wheel and chart of the release before this one."""


def test_operator_is_available_and_notes_name_the_next_steps(release: Release) -> None:
    deployment = get("deployment", f"{release.name}-operator", "-n", release.namespace)
    conditions = {c["type"]: c["status"] for c in deployment["status"]["conditions"]}
    assert conditions["Available"] == "True"
    assert f"serves the namespaces {release.jobs}" in release.notes
    assert f"kubectl -n {release.jobs} apply -f job.yaml" in release.notes
    assert "Missing" not in release.notes


def test_operator_holds_the_lease_and_serves_health_and_metrics(release: Release) -> None:
    with release.forward(f"{release.name}-operator", 8080) as port:

        def answer(path: str) -> str:
            url = f"http://127.0.0.1:{port}{path}"
            with urllib.request.urlopen(url) as found:
                return str(found.read().decode())

        assert answer("/healthz").startswith("ok")
        assert "fedjob_operator_leader 1.0" in answer("/metrics")
    lease = get("lease", "fedjob-operator", "-n", release.namespace)
    assert lease["spec"]["holderIdentity"] == release.pod("operator")["metadata"]["name"]


CHILDREN = ["pods", "services", "configmaps", "networkpolicies.networking.k8s.io"]
ALLOWED = [
    *((verb, "federatedjobs.fedjob.dev") for verb in ("get", "list", "watch", "delete")),
    ("patch", "federatedjobs.fedjob.dev/status"),
    *((verb, what) for what in CHILDREN for verb in ("list", "watch", "create", "patch", "delete")),
    *((verb, "secrets") for verb in ("get", "create", "patch", "delete")),
    ("create", "events"),
]
FORBIDDEN = [
    *((verb, "federatedjobs.fedjob.dev") for verb in ("create", "patch", "update")),
    ("list", "secrets"),
    ("watch", "secrets"),
    ("create", "pods/exec"),
    ("get", "pods/proxy"),
    ("get", "pods/log"),
    ("deletecollection", "pods"),
    ("create", "serviceaccounts/token"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("create", "deployments.apps"),
    ("list", "persistentvolumeclaims"),
]


def test_operator_has_the_rights_it_needs_in_its_namespaces(release: Release) -> None:
    refused = [ask for ask in ALLOWED if not release.can(*ask, release.jobs)]
    assert refused == []
    assert release.can("list", "nodes", release.jobs)


def test_operator_has_no_other_rights(release: Release) -> None:
    assert [ask for ask in FORBIDDEN if release.can(*ask, release.jobs)] == []
    elsewhere = [
        (verb, what, where)
        for where in ("default", "kube-system", release.namespace)
        for verb, what in (("list", "secrets"), ("create", "pods"), ("list", CRD))
        if release.can(verb, what, where)
    ]
    assert elsewhere == []


def test_cluster_mode_serves_every_namespace(release: Release) -> None:
    wide = Release(
        name="fedjob-wide",
        namespace=release.jobs,
        jobs="default",
        values={
            "imageRegistry": REGISTRY,
            "clusterWide": True,
            "operator": {"replicas": 0},
            "crds": {"install": False},
        },
    )
    try:
        notes = wide.helm("install", CHART)
        assert "every namespace" in notes
        assert "storage.bucket" in notes
        assert [ask for ask in ALLOWED if not wide.can(*ask, "default")] == []
        assert [ask for ask in FORBIDDEN if wide.can(*ask, "default")] == []
    finally:
        run(find_helm(), "uninstall", wide.name, "-n", wide.namespace, check=False)
    assert remaining_objects(wide) == []


def test_store_keeps_models_when_its_pod_is_deleted(release: Release) -> None:
    with release.s3() as client:
        client.put_object(Bucket="fedjob", Key="model", Body=b"weights")
    gone = release.pod("store")["metadata"]
    kubectl("delete", "pod", gone["name"], "-n", release.namespace)
    kubectl(
        *("rollout", "status", f"statefulset/{release.name}-store", "-n", release.namespace),
        f"--timeout={PATIENCE:.0f}s",
    )
    assert release.pod("store")["metadata"]["uid"] != gone["uid"]
    with release.s3() as client:
        assert client.get_object(Bucket="fedjob", Key="model")["Body"].read() == b"weights"


def test_node_pulls_from_the_embedded_registry(release: Release, tmp_path: Path) -> None:
    """With hosts.toml and the CA on the node, as docs/how-to/install.md describes; with a password.

    The operator gives jobs the same pull Secret.
    """
    service = f"{release.name}-registry"
    host = f"{service}.{release.namespace}.svc:5000"
    address = get("service", service, "-n", release.namespace)["spec"]["clusterIP"]
    ca = release.secret(f"{service}-tls")["ca.crt"]
    login = release.secret(f"{service}-auth")[".dockerconfigjson"]
    pull = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "probe", "namespace": release.jobs},
        "stringData": {".dockerconfigjson": login},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pull))
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    with release.forward(service, 5000) as port:
        trusting = ssl.create_default_context(cadata=ca)
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(f"https://localhost:{port}/v2/", context=trusting)
        refused.value.close()
        auth = json.loads(login)["auths"][host]
        known_user = {"Authorization": f"Basic {auth['auth']}"}
        asked = urllib.request.Request(f"https://localhost:{port}/v2/", headers=known_user)
        with urllib.request.urlopen(asked, context=trusting) as answer:  # noqa: S310 (https)
            assert answer.status == 200
    # A port-forward ends where a client has broken a connection off.
    with release.forward(service, 5000) as port:
        logins = {"auths": {f"localhost:{port}": auth}}
        (tmp_path / "config.json").write_text(json.dumps(logins))
        pushed = f"localhost:{port}/probe:1"
        run("docker", "tag", f"{PUSH_REGISTRY}/fedjob/store:{version}", pushed)
        try:
            run("docker", "--config", tmp_path, "push", "-q", pushed)
        finally:
            run("docker", "rmi", pushed)
    folder = f"/etc/containerd/certs.d/{host}"
    hosts = f'[host."https://{host}"]\n  ca = "{folder}/ca.crt"\n'
    known = f"{address} {host.partition(':')[0]}"
    notes = release.notes.replace("CLUSTER-IP", address)
    assert "".join(hosts.split()) in "".join(notes.split())
    assert known in notes
    run("docker", "exec", NODE, "mkdir", "-p", folder)
    try:
        for file, text in (("ca.crt", ca), ("hosts.toml", hosts)):
            run("docker", "exec", "-i", NODE, "tee", f"{folder}/{file}", stdin=text)
        run("docker", "exec", "-i", NODE, "tee", "-a", "/etc/hosts", stdin=f"{known}\n")
        context = release.pod("store")["spec"]["securityContext"]
        container = release.pod("store")["spec"]["containers"][0]["securityContext"]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "namespace": release.jobs},
            "spec": {
                "nodeName": NODE,
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "imagePullSecrets": [{"name": "probe"}],
                "securityContext": context,
                "containers": [
                    {
                        "name": "probe",
                        "image": f"{host}/probe:1",
                        "command": ["weed", "version"],
                        "securityContext": container,
                    }
                ],
            },
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(body))
        kubectl(
            *("wait", "pod/probe", "-n", release.jobs, f"--timeout={PATIENCE:.0f}s"),
            "--for=jsonpath={.status.phase}=Succeeded",
            check=False,
        )
        state = kubectl("describe", "pod/probe", "-n", release.jobs)
        assert re.search(r"(?m)^Status: +Succeeded$", state), state
    finally:
        for probe in ("pod/probe", "secret/probe"):
            kubectl("delete", probe, "-n", release.jobs, "--ignore-not-found", "--wait=false")
        run("docker", "exec", NODE, "rm", "-rf", folder)
        # Docker bind-mounts the file, so it can be written but not replaced.
        others = (
            f"grep -v {host.partition(':')[0]} /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts"
        )
        run("docker", "exec", NODE, "sh", "-c", others)


def test_upgrade_keeps_keys_certificate_and_store(release: Release) -> None:
    def kept() -> list[Any]:
        return [
            release.secret(f"{release.name}-store"),
            release.secret(f"{release.name}-registry-tls"),
            release.secret(f"{release.name}-registry-auth"),
            release.pod("store")["metadata"]["uid"],
            release.pod("registry")["metadata"]["uid"],
        ]

    before, operator = kept(), release.pod("operator")["metadata"]["name"]
    release.helm("upgrade", CHART, operator={"logLevel": "DEBUG"})
    assert kept() == before
    after = release.pod("operator")["metadata"]["name"]
    assert after != operator
    assert holder(release, after) == after


def older_chart(folder: Path) -> Path:
    """A copy of the chart, as of an earlier version: its CRD lacks the last printer column."""
    chart = folder / "fedjob"
    shutil.copytree(CHART, chart)
    file = chart / "files" / f"{CRD}.yaml"
    older, count = re.subn(r"(?m)^    - name: Result\n(?:      .*\n)+", "", file.read_text())
    assert count == 1
    file.write_text(older)
    return chart


def columns() -> list[str]:
    version = get("crd", CRD)["spec"]["versions"][0]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def test_upgrade_updates_the_crd(release: Release, tmp_path: Path, kube: Kube) -> None:
    """Helm would not update a CRD in a chart's crds/ folder."""
    with kube.crd_lock(exclusive=True):
        release.helm("upgrade", older_chart(tmp_path))
        assert "Result" not in columns()
        release.helm("upgrade", CHART)
        assert "Result" in columns()


@pytest.fixture(scope="module")
def previous_images() -> None:
    """The images of the previous release: its code, with the packages that this one has."""
    wheel = "fedjob-0.1.0-py3-none-any.whl"
    for name in ("operator", "runtime"):
        image = f"{PUSH_REGISTRY}/fedjob/{name}"
        lines = [
            f"FROM {image}:{__version__}",
            "USER 0",
            f"COPY {wheel} /",
            f"RUN pip install -q --no-cache-dir --no-deps --force-reinstall /{wheel}",
            "USER 10001:10001",
        ]
        run(
            *("docker", "build", "-q", "-t", f"{image}:0.1.0", "-f", "-", PREVIOUS),
            stdin="\n".join(lines),
        )
        run("docker", "push", "-q", f"{image}:0.1.0")


def test_upgrade_from_the_previous_release_does_not_disturb_a_running_job(
    release: Release, previous_images: None, other_volume: str, tmp_path: Path
) -> None:
    """The operator's pod is replaced, the job's pods of the old version are not, and it completes.

    Afterwards the release is rolled back, and the older operator completes a job of its own.
    """
    text = (ROOT / "tests/cluster/chart-values.yaml").read_text()
    where = f"{release.namespace}-run"
    other = Release("fedjob", where, where, yaml.safe_load(text))
    del other.values["clusterWide"]  # the earlier chart does not know it
    other.values |= {
        "imageRegistry": REGISTRY,
        "namespaces": [where],
        "crds": {"install": False},
        "operator": {"image": {"pullPolicy": "Always"}},
    }
    # The upgrade starts the store's pod again: a running job waits for it.
    other.values["store"] |= {
        "image": {"tag": __version__},
        "persistence": {"storageClass": other_volume, "size": "1Gi", "keep": False},
    }
    program = ROOT / "examples/digits/make_shards.py"
    run(sys.executable, program, "--out", tmp_path)
    namespace(where)
    try:
        other.helm("install", PREVIOUS / "fedjob-0.1.0.tgz")
        with other.s3() as client:
            for shard in tmp_path.glob("*.zip"):
                client.upload_file(str(shard), "fedjob", f"jobs/{where}/digits/shards/{shard.name}")
        kubectl("apply", "-n", where, "-f", str(ROOT / "examples/digits/job.yaml"))
        wait_for_state(where, "Training")

        def pods() -> dict[str, str]:
            found = get("pods", "-n", where, "-l", "fedjob.dev/job=digits")["items"]
            return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found}

        before, acting = pods(), other.pod("operator")["metadata"]["uid"]
        assert len(before) == 4
        other.helm("upgrade", CHART)
        operator = other.pod("operator")
        assert operator["metadata"]["uid"] != acting
        assert operator["spec"]["containers"][0]["image"].endswith(f":{__version__}")
        assert pods().items() <= before.items()
        wait_for_state(where, "Complete")
        done = get("federatedjob", "digits", "-n", where)["status"]
        assert done["rounds"]["completed"] == done["rounds"]["total"]
        assert done["server"].get("restarts", 0) == 0

        run(find_helm(), "rollback", other.name, "-n", where, "--wait", "--timeout", "240s")
        assert other.pod("operator")["spec"]["containers"][0]["image"].endswith(":0.1.0")
        again = get("federatedjob", "digits", "-n", where)["status"]
        assert again["result"] == done["result"]
    finally:
        kubectl("delete", "fj", "--all", "-n", where, check=False)
        run(find_helm(), "uninstall", other.name, "-n", where, check=False)
        kubectl("delete", "namespace", where, "--wait=false")


def test_uninstall_leaves_only_the_crd_and_the_models(release: Release, kube: Kube) -> None:
    """Runs last. The claim stays because of `store.persistence.keep`."""
    output = run(find_helm(), "uninstall", release.name, "-n", release.namespace, "--wait")
    assert "resource policy" in output
    assert remaining_objects(release) == [f"PersistentVolumeClaim/{release.name}-store"]
    assert columns()
    kinds = "secrets,configmaps,leases,roles,rolebindings,services,networkpolicies,pods"
    for where in (release.namespace, release.jobs):
        left = [
            f"{found['kind']}/{found['metadata']['name']}"
            for found in get(kinds, "-n", where)["items"]
            if found["metadata"]["name"] != "kube-root-ca.crt"
        ]
        assert left == [], where
    # A new installation adopts both: it updates the CRD and reads the models with new keys.
    last = f"/spec/versions/0/additionalPrinterColumns/{columns().index('Result')}"
    removal = json.dumps([{"op": "remove", "path": last}])
    with kube.crd_lock(exclusive=True):
        kubectl("patch", "crd", CRD, "--type=json", "-p", removal)
        release.helm("install", CHART)
        assert "Result" in columns()
    with release.s3() as client:
        assert client.get_object(Bucket="fedjob", Key="model")["Body"].read() == b"weights"
    release.helm(
        "upgrade",
        CHART,
        store={
            **release.values["store"],
            "persistence": {**release.values["store"]["persistence"], "keep": False},
        },
    )
    run(find_helm(), "uninstall", release.name, "-n", release.namespace, "--wait")
    assert remaining_objects(release) == []
