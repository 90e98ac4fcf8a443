"""charts/fedjob: what it installs, which values it takes, and what it says of those it refuses."""

from __future__ import annotations

import copy
import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.chart import (
    ALL,
    CHART,
    KUBERNETES,
    REGISTRY,
    Object,
    environment,
    helm,
    of_kind,
    only,
    refusal,
    render,
)
from fedjob_operator.naming import OPERATOR_LABELS
from fedjob_operator.settings import Settings, read_settings
from support.repository import ROOT

CRD = "federatedjobs.fedjob.dev"
DIGEST = "sha256:" + "0a" * 32


def operator(values: dict[str, Any] | None = None) -> Object:
    """The operator's container."""
    deployment = only(render(values), "Deployment", "fedjob-operator")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return container  # type: ignore[no-any-return]


def settings(values: dict[str, Any] | None = None) -> Settings:
    """What the operator would read from its environment."""
    return read_settings(environment(operator(values)))


@pytest.mark.parametrize("values", [{}, ALL, {"namespaces": ["a", "b"]}], ids=str)
def test_helm_lint_finds_nothing(values: dict[str, Any]) -> None:
    code, output, errors = helm("lint", "--strict", str(CHART), values={**REGISTRY, **values})
    assert code == 0, output + errors
    assert "[WARNING]" not in output
    assert "[ERROR]" not in output


def test_the_versions_are_the_package_s() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_crd_is_the_project_s() -> None:
    source = ROOT / "crds" / f"{CRD}.yaml"
    copy = CHART / "files" / source.name
    assert copy.read_bytes() == source.read_bytes(), f"cp {source} {copy}"
    crd = only(render(), "CustomResourceDefinition", CRD)
    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == yaml.safe_load(source.read_text())


def test_the_crd_can_be_left_out() -> None:
    assert not of_kind(render({"crds": {"install": False}}), "CustomResourceDefinition")
    assert not (CHART / "crds").exists(), "Helm never upgrades what is in crds/"


@pytest.mark.parametrize("values", [{}, {"namespaces": ["a", "b"]}, ALL], ids=str)
def test_objects_are_labelled_and_where_they_belong(values: dict[str, Any]) -> None:
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    cluster_wide |= {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    seen = set()
    for found in render({**values, "commonLabels": {"team": "vision"}}):
        meta = found["metadata"]
        where = (found["kind"], meta.get("namespace"), meta["name"])
        assert where not in seen
        seen.add(where)
        if found["kind"] in cluster_wide:
            assert "namespace" not in meta, where
        else:
            assert meta["namespace"] in {"fedjob-system", *values.get("namespaces", [])}, where
        if found["kind"] != "CustomResourceDefinition":
            assert meta["labels"]["team"] == "vision", where
            assert meta["labels"]["app.kubernetes.io/managed-by"] == "Helm", where


def test_what_is_off_by_default() -> None:
    kinds = {found["kind"] for found in render()}
    assert not kinds & {"ServiceMonitor", "PodDisruptionBudget", "StatefulSet", "Secret"}
    assert not kinds & {"PersistentVolumeClaim"}
    more = {found["kind"] for found in render(ALL)}
    assert {"ServiceMonitor", "PodDisruptionBudget", "PersistentVolumeClaim"} <= more


def test_the_operator_reads_every_setting() -> None:
    """A variable the operator does not know would be a setting without effect."""
    names = {entry["name"] for entry in operator(ALL)["env"]}
    known = {f"FEDJOB_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in names if name.startswith("FEDJOB_")} <= known
    # An operator outside the cluster needs the first two; the lease is for all in it, under the
    # name that the Role allows. The others have defaults that no installation here needs to change.
    left_out = {"FEDJOB_STORE_EXTERNAL_ENDPOINT", "FEDJOB_POLL", "FEDJOB_LEASE"}
    left_out |= {"FEDJOB_LEASE_NAME", "FEDJOB_BASE_INSECURE", "FEDJOB_URL_SECONDS"}
    assert known - names == left_out


def test_the_defaults_are_the_operator_s() -> None:
    image = "registry.test/mirror/fedjob/runtime:0.2.0"
    assert settings() == Settings(
        base_image=image, namespaces=["fedjob-system"], kits_folder="/var/lib/fedjob-kits"
    )


def test_values_reach_the_operator() -> None:
    found = settings(
        {
            "namespaces": ["a", "b"],
            "operator": {"logLevel": "DEBUG", "resyncSeconds": 60, "workers": 3},
            "jobs": {
                "image": {"repository": "team/runtime", "digest": DIGEST},
                "repository": "registry.test:5000/team/jobs",
                "pullSecrets": ["one", "two"],
                "networkPolicies": False,
                "cpu": 2,
                "memory": "3Gi",
                "memoryLimit": "9Gi",
                "supervisor": {"cpu": "1", "memory": "1Gi", "memoryLimit": "2Gi"},
                "workSizeLimit": "7Gi",
                "ttlSecondsAfterFinished": -1,
            },
            "clusterId": "lab-1",
            "storage": {
                "bucket": "models",
                "prefix": "team/a",
                "endpoint": "https://s3.test",
                "podPort": 9000,
                "region": "eu-west-1",
                "clientEndpoint": "https://s3.outside.test",
            },
            "uploads": {"maxFileBytes": 5368709120, "maxBytes": 2e12, "days": 0.5},
            "builds": {
                "insecure": True,
                "credentialsSecret": "registry",
                "ca": {"configMap": "ca"},
            },
        }
    )
    assert found == Settings(
        namespaces=["a", "b"],
        log_level="DEBUG",
        resync_seconds=60,
        workers=3,
        base_image=f"registry.test/mirror/team/runtime@{DIGEST}",
        repository="registry.test:5000/team/jobs",
        pull_secrets=["one", "two"],
        network_policies=False,
        default_cpu="2",
        default_memory="3Gi",
        default_memory_limit="9Gi",
        supervisor_cpu="1",
        supervisor_memory="1Gi",
        supervisor_memory_limit="2Gi",
        work_size_limit="7Gi",
        default_ttl_seconds=-1,
        cluster_id="lab-1",
        kits_folder="/var/lib/fedjob-kits",
        store_pod_port=9000,
        store_bucket="models",
        store_prefix="team/a",
        store_endpoint="https://s3.test",
        store_region="eu-west-1",
        store_client_endpoint="https://s3.outside.test",
        upload_max_file_bytes=5368709120,
        upload_max_bytes=2_000_000_000_000,
        upload_days=0.5,
        registry_insecure=True,
        registry_ca="/etc/fedjob/ca/ca.crt",
        registry_config="/etc/fedjob/registry/config.json",
    )


def test_the_embedded_parts_reach_the_operator() -> None:
    found = settings(ALL)
    assert found.store_bucket == "fedjob"
    assert found.store_endpoint == "http://fedjob-store.fedjob-system.svc:8333"
    assert found.store_tunnel == "fedjob-system/fedjob-tunnel-0:8333"
    assert found.repository == "fedjob-registry.fedjob-system.svc:5000/fedjob/jobs"
    assert not found.registry_insecure
    assert found.registry_ca


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        ({"storage": {"secretName": "keys"}}, "keys"),
        ({"store": {"enabled": True}}, "fedjob-store"),
        ({"store": {"enabled": True, "existingSecret": "mine"}}, "mine"),
    ],
    ids=str,
)
def test_keys_come_from_a_secret(values: dict[str, Any], secret: str) -> None:
    keys = {
        e["name"]: e["valueFrom"]["secretKeyRef"]
        for e in operator(values)["env"]
        if e["name"].startswith("AWS_")
    }
    assert {key["name"] for key in keys.values()} == {secret}
    assert keys["AWS_SESSION_TOKEN"]["optional"]
    assert not keys["AWS_ACCESS_KEY_ID"].get("optional")


def test_pods_of_jobs_let_the_operator_in() -> None:
    """Their NetworkPolicies name its labels and its namespace."""
    template = only(render(), "Deployment", "fedjob-operator")["spec"]["template"]
    assert OPERATOR_LABELS.items() <= template["metadata"]["labels"].items()
    fields = {
        e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"]
        for e in operator()["env"]
        if "fieldRef" in e.get("valueFrom", {})
    }
    assert fields == {
        "FEDJOB_NAMESPACE": "metadata.namespace",
        "FEDJOB_POD_NAME": "metadata.name",
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "registry.test/mirror/fedjob/operator:0.2.0"),
        ({"tag": "1.2.3"}, "registry.test/mirror/fedjob/operator:1.2.3"),
        (
            {"tag": "1.2.3", "digest": DIGEST},
            f"registry.test/mirror/fedjob/operator@{DIGEST}",
        ),
        ({"repository": "own/name"}, "registry.test/mirror/own/name:0.2.0"),
    ],
    ids=str,
)
def test_images(image: dict[str, str], expected: str) -> None:
    assert operator({"operator": {"image": image}})["image"] == expected


def test_the_store_hears_s3_alone() -> None:
    objects = render(ALL)
    policy = only(objects, "NetworkPolicy", "fedjob-store")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    assert [port for rule in policy["ingress"] for port in rule["ports"]] == [
        {"protocol": "TCP", "port": 8333}
    ]
    store = only(objects, "StatefulSet", "fedjob-store")["spec"]
    assert policy["podSelector"] == store["selector"]
    assert store["replicas"] == 1
    assert store["template"]["spec"]["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("values", "peers"),
    [
        ({}, None),
        ({"serviceMonitor": {"enabled": True}}, [{"namespaceSelector": {}}]),
        ({"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}}, [{"podSelector": {}}]),
    ],
    ids=str,
)
def test_who_may_read_the_metrics(values: dict[str, Any], peers: list[Object] | None) -> None:
    policy = only(render({"operator": values}), "NetworkPolicy", "fedjob-operator")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"][0]["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]
    assert [rule["from"] for rule in policy.get("ingress", [])] == ([peers] if peers else [])


@pytest.mark.parametrize("part", ["store", "registry"])
def test_claims(part: str) -> None:
    def claims(**persistence: Any) -> list[Object]:
        extra = {"builds": {"insecure": True}} if part == "registry" else {}
        on = {"enabled": True, "persistence": persistence}
        if part == "registry":
            on["tls"] = {"enabled": False}
        return of_kind(render({part: on, **extra}), "PersistentVolumeClaim")

    [kept] = claims(keep=True, size="7Gi", storageClass="fast")
    assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert kept["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert kept["spec"]["storageClassName"] == "fast"
    [dropped] = claims(keep=False)
    assert "annotations" not in dropped["metadata"]
    assert "storageClassName" not in dropped["spec"]
    assert claims(existingClaim="mine") == []
    assert claims(enabled=False) == []


REFUSED = [
    ("operatr", {}),
    ("operator.image.name", "x"),
    ("operator.replicas", -1),
    ("operator.replicas", "two"),
    ("operator.logLevel", "TRACE"),
    ("operator.workers", 257),
    ("operator.resyncSeconds", 1),
    ("operator.resources.limit", {}),
    ("operator.resources.limits.memory", "lots"),
    ("operator.image.digest", "sha256:12"),
    ("operator.image.tag", "a b"),
    ("operator.image.pullPolicy", "Sometimes"),
    ("operator.extraEnv", [{"value": "x"}]),
    ("operator.podDisruptionBudget.maxUnavailable", 0),
    ("operator.serviceMonitor.interval", "soon"),
    ("namespaces", "a"),
    ("namespaces", ["a", "a"]),
    ("namespaces", ["A"]),
    ("namespaces", [""]),
    ("imageRegistry", "https://registry.test"),
    ("imagePullSecrets", [{"name": "x"}]),
    ("jobs.repository", "registry.test/jobs:tag"),
    ("jobs.repository", "jobs"),
    ("jobs.networkPolicies", "no"),
    ("jobs.image.pullPolicy", "Always"),
    ("storage.bucket", "B"),
    ("storage.endpoint", "s3.test:9000"),
    ("storage.prefix", "/team/"),
    ("builds.dockerHost", "docker:2375"),
    ("store.enabled", "yes"),
    ("store.persistence.accessModes", []),
    ("store.persistence.size", "big"),
    ("registry.service.nodePort", 80),
    ("registry.service.type", "ExternalName"),
    ("runAs", 0),
    ("crds.install", "yes"),
]


@functools.cache
def refused_with(turn: int) -> str:
    """The error for the values of REFUSED that come `turn`-th for their path, set together."""
    values: dict[str, Any] = copy.deepcopy(REGISTRY)
    seen: Counter[str] = Counter()
    for path, value in REFUSED:
        if seen[path] == turn:
            at = values
            *parents, last = path.split(".")
            for name in parents:
                at = at.setdefault(name, {})
            at[last] = value
        seen[path] += 1
    return refusal(values)


@pytest.mark.parametrize("index", range(len(REFUSED)), ids=[f"{p}={v}" for p, v in REFUSED])
def test_the_schema_refuses(index: int) -> None:
    path = REFUSED[index][0]
    error = refused_with([p for p, _ in REFUSED[:index]].count(path))
    assert "values don't meet the specifications of the schema" in error
    parent, _, last = f".{path}".replace(".", "/").rpartition("/")
    unknown = rf"at '{parent}': additional properties .*'{last}'.* not allowed"
    assert re.search(rf"at '{parent}/{last}|{unknown}", error), error


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ({"imageRegistry": ""}, ["imageRegistry: is missing"]),
        ({"serviceAccount": {"create": False}}, ["serviceAccount.name: is missing"]),
        (
            {
                "store": {"enabled": True},
                "storage": {"endpoint": "https://s3.test", "secretName": "x"},
            },
            ["storage.endpoint: is set", "storage.secretName: is set"],
        ),
        (
            {
                "registry": {"enabled": True},
                "jobs": {"repository": "registry.test/jobs"},
                "builds": {"insecure": True, "ca": {"configMap": "ca"}},
            },
            [
                "jobs.repository: is set",
                "builds.insecure: is set",
                "builds.ca.configMap: is set",
            ],
        ),
        (
            {"registry": {"enabled": True, "tls": {"enabled": False}}},
            ["builds.insecure: is false"],
        ),
        (
            {"registry": {"service": {"nodePort": 30500}}},
            ["registry.service.nodePort: is set"],
        ),
        ({"clusterWide": True, "namespaces": ["a"]}, ["namespaces: is set"]),
        (
            {"builds": {"dockerHost": "tcp://docker.builds.svc:2375"}},
            ["builds.dockerTls.secretName: is missing"],
        ),
        ({"prune": {"enabled": True}}, ["prune.enabled: is set"]),
        (
            {"store": {"persistence": {"enabled": False, "existingClaim": "c"}}},
            ["store.persistence.existingClaim: is set"],
        ),
    ],
    ids=str,
)
def test_values_that_contradict_each_other(values: dict[str, Any], faults: list[str]) -> None:
    """All at once, each with what to write instead."""
    error = refusal({**REGISTRY, **values})
    lines = re.findall(r"^  (\w[\w.]+: .*)$", error, re.MULTILINE)
    assert len(lines) == len(faults), error
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(fault)
        assert "; " in line


def test_every_value_is_in_the_schema_and_documented() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    definitions = schema["$defs"]

    def named(node: Any, path: str) -> Iterator[str]:
        node = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        properties = node.get("properties")
        if not properties:
            yield path
        else:
            assert node["additionalProperties"] is False, path
        for name, child in (properties or {}).items():
            yield from named(child, f"{path}.{name}".lstrip("."))

    def written(node: Any, path: str) -> Iterator[str]:
        if isinstance(node, dict) and node and not path.endswith(("requests", "limits")):
            for name, child in node.items():
                yield from written(child, f"{path}.{name}".lstrip("."))
        else:
            yield path

    text = (CHART / "values.yaml").read_text()
    allowed = {name for name in named(schema, "") if not name.endswith(".claims")} - {"global"}
    assert set(written(yaml.safe_load(text), "")) == allowed


def test_the_certificate_is_the_registry_s() -> None:
    secret = only(render(ALL), "Secret", "fedjob-registry-tls")
    assert secret["type"] == "kubernetes.io/tls"
    assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt"}


def test_an_old_kubernetes_is_refused() -> None:
    code, _, errors = helm("template", "f", str(CHART), "--kube-version", "1.28.0", values=REGISTRY)
    assert code
    assert "kubeVersion" in errors
    assert KUBERNETES > "1.29"
