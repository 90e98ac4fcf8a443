"""Every object of a job as it is built: what it may, what it mounts, what it never gets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fedjob.protocol.config import ServerConfig, StoreLocation, WorkerConfig
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body, annotation
from fedjob_operator.resources.configmaps import config_map, record_map
from fedjob_operator.resources.network_policies import server_policy, worker_policy
from fedjob_operator.resources.pods import server_pod, worker_pod
from fedjob_operator.resources.secrets import kit_secret, store_secret, url_expires, url_secret
from fedjob_operator.resources.services import service
from fedjob_operator.state.observed import Defaults, SignedUrl
from fedjob_operator.state.record import PodSlot, Record, read_record
from support.operator_samples import DEFAULTS, KEYS, NOW, UID, a_job, prepared_of

STORE = StoreLocation(endpoint="http://store.fedjob-system.svc:8333", bucket="jobs")


def every_child(job: FederatedJob) -> list[Body]:
    prepared = prepared_of(job)
    signed = SignedUrl("http://u", "jobs/shards/s0.zip", NOW)
    return [
        service(job),
        config_map(job, prepared, STORE, gpus=False),
        record_map(job, Record()),
        kit_secret(job, "worker-0", "set", {"a": b"b"}),
        url_secret(job, "worker-0", signed),
        store_secret(job, KEYS),
        server_policy(job, STORE, DEFAULTS),
        worker_policy(job, STORE, https=False),
        server_pod(job, "image@sha256:1", 0, "hash", DEFAULTS),
        worker_pod(job, "worker-0", "image@sha256:1", 0, "hash", DEFAULTS, gpus=False),
    ]


@pytest.mark.parametrize("body", every_child(a_job()), ids=lambda b: b["metadata"]["name"])
def test_every_child_is_owned_and_labelled(body: Body) -> None:
    """Row 41: it goes with the job."""
    meta = body["metadata"]
    assert meta["namespace"] == "team"
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("FederatedJob", UID, True)
    assert meta["labels"]["fedjob.dev/job"] == "digits"
    assert meta["labels"]["app.kubernetes.io/managed-by"] == "fedjob-operator"


def test_names_fit_at_the_length_limit() -> None:
    job = a_job("j" * 40)
    bodies = every_child(job)
    bodies.append(worker_pod(job, "worker-255", "i", 99, "h", DEFAULTS, gpus=False))
    assert max(len(body["metadata"]["name"]) for body in bodies) <= 63


def test_the_service_names_a_server_that_is_not_ready() -> None:
    spec = service(a_job())["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert [port["port"] for port in spec["ports"]] == [8002, 8080]


def pods() -> list[Body]:
    return [body for body in every_child(a_job()) if body["kind"] == "Pod"]


@pytest.mark.parametrize("pod", pods(), ids=lambda b: b["metadata"]["name"])
def test_pods_fit_pod_security_restricted(pod: Body) -> None:
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    allowed = {"emptyDir", "configMap", "secret"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


@pytest.mark.parametrize("pod", pods(), ids=lambda b: b["metadata"]["name"])
def test_pods_have_no_token_and_one_writable_folder(pod: Body) -> None:
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
    assert set(writable) <= {"/work", "/dev/shm"}
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["HOME"] == env["TMPDIR"] == "/work"
    assert "NVIDIA_VISIBLE_DEVICES" not in env


@pytest.mark.parametrize("pod", pods(), ids=lambda b: b["metadata"]["name"])
def test_pods_leave_an_unreachable_node_soon_and_are_restarted_in_place(pod: Body) -> None:
    spec = pod["spec"]
    assert spec["restartPolicy"] == "OnFailure"
    waits = {t["key"]: t["tolerationSeconds"] for t in spec["tolerations"]}
    assert waits == {
        "node.kubernetes.io/unreachable": 30,
        "node.kubernetes.io/not-ready": 30,
    }
    assert spec["terminationGracePeriodSeconds"] <= 15
    assert spec["containers"][0]["image"] == "image@sha256:1"


def secrets_of(pod: Body) -> set[str]:
    """Every Secret that a pod can read."""
    mounted = {v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
    env = pod["spec"]["containers"][0]["env"]
    return mounted | {e["valueFrom"]["secretKeyRef"]["name"] for e in env if "valueFrom" in e}


def test_a_worker_gets_its_own_kit_and_url_and_nothing_else() -> None:
    """Row 38."""
    pod = worker_pod(a_job(), "worker-1", "i", 0, "h", DEFAULTS, gpus=False)
    assert secrets_of(pod) == {"digits-kit-worker-1", "digits-url-worker-1"}
    config = next(v for v in pod["spec"]["volumes"] if v["name"] == "config")
    assert config["configMap"]["items"] == [{"key": "worker-1.json", "path": "worker-1.json"}]


def test_the_server_gets_the_store_keys_copied_or_by_reference() -> None:
    own = server_pod(a_job(), "i", 0, "h", DEFAULTS)
    assert secrets_of(own) == {"digits-kit-server", "digits-kit-admin", "digits-store"}
    theirs = server_pod(a_job(storage={"secretRef": {"name": "mine"}}), "i", 0, "h", DEFAULTS)
    assert secrets_of(theirs) == {"digits-kit-server", "digits-kit-admin", "mine"}
    token = next(e for e in own["spec"]["containers"][0]["env"] if e["name"] == "AWS_SESSION_TOKEN")
    assert token["valueFrom"]["secretKeyRef"]["optional"] is True


def test_gpus_are_limits_and_placement_is_taken_over() -> None:
    placement = {
        "gpu": 2,
        "runtimeClassName": "nvidia",
        "priorityClassName": "low",
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "resources": {"limits": {"memory": "8Gi", "cpu": "4"}, "requests": {"memory": "2Gi"}},
    }
    job = a_job(workers=placement, image={"pullSecrets": ["a", "b"]})
    defaults = Defaults(pull_secrets=("b", "c"), keys=KEYS)
    spec = worker_pod(job, "worker-0", "i", 3, "h", defaults, gpus=True)["spec"]
    resources = spec["containers"][0]["resources"]
    assert resources["limits"] == {"memory": "8Gi", "cpu": "4", "nvidia.com/gpu": "2"}
    assert resources["requests"] == {"memory": "2Gi"}
    assert spec["runtimeClassName"] == "nvidia"
    assert spec["priorityClassName"] == "low"
    assert spec["nodeSelector"] == {"gpu": "a100"}
    assert spec["tolerations"][-1]["key"] == "nvidia.com/gpu"
    assert [s["name"] for s in spec["imagePullSecrets"]] == ["a", "b", "c"]
    env = {e["name"]: e.get("value") for e in spec["containers"][0]["env"]}
    assert env["OMP_NUM_THREADS"] == "4"
    fallen = worker_pod(job, "worker-0", "i", 3, "h", defaults, gpus=False)["spec"]
    assert "nvidia.com/gpu" not in fallen["containers"][0]["resources"]["limits"]


@pytest.mark.parametrize(
    ("resources", "requests", "threads"),
    [
        ({}, {"cpu": "100m", "memory": "512Mi"}, "1"),
        ({"requests": {"cpu": "2500m"}}, {"cpu": "2500m", "memory": "512Mi"}, "2"),
        ({"limits": {"cpu": "3"}}, {"memory": "512Mi"}, "3"),
        ({"limits": {"memory": "1Gi"}}, {"cpu": "100m"}, "1"),
    ],
)
def test_what_a_pod_does_not_ask_for_the_operator_chooses(
    resources: dict[str, Any], requests: dict[str, str], threads: str
) -> None:
    job = a_job(server={"resources": resources})
    (container,) = server_pod(job, "i", 0, "h", DEFAULTS)["spec"]["containers"]
    assert container["resources"]["requests"] == requests
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["OMP_NUM_THREADS"] == threads


def test_replacements_have_names_of_their_own() -> None:
    found = [
        worker_pod(a_job(), "worker-0", "i", n, "h", DEFAULTS, gpus=False)["metadata"]["name"]
        for n in range(3)
    ]
    assert found == ["digits-worker-0", "digits-worker-0-r1", "digits-worker-0-r2"]


def test_configurations_are_what_the_commands_read() -> None:
    job = a_job(training={"manifestFile": "lines.ndjson"})
    prepared = prepared_of(job).model_copy(update={"validation": "v.zip", "checkpoint": "c.pt"})
    data = config_map(job, prepared, STORE, gpus=True)["data"]
    assert set(data) == {"server.json", "worker-0.json", "worker-1.json"}
    server = ServerConfig.model_validate_json(data["server.json"])
    assert server.spec == job.spec
    assert (server.http_host, server.http_port) == ("0.0.0.0", 8080)  # noqa: S104
    assert (server.validation_shard, server.checkpoint) == ("v.zip", "c.pt")
    assert [worker.shard for worker in server.workers] == ["s0.zip", "s1.zip"]
    worker = WorkerConfig.model_validate_json(data["worker-1.json"])
    assert (worker.shard, worker.manifest_file) == ("s1.zip", "lines.ndjson")
    assert worker.device == "auto"
    cpu = json.loads(config_map(job, prepared, STORE, gpus=False)["data"]["worker-0.json"])
    assert cpu["device"] == "cpu"
    assert "s1.zip" not in data["worker-0.json"]


def test_the_record_is_read_back() -> None:
    record = Record(
        prepared=prepared_of(a_job()),
        server=PodSlot(ordinal=2, restarts=3, in_place=1, seen=True),
        workers={"worker-0": PodSlot(lost_at=NOW)},
        gpus=False,
        started=NOW,
    )
    assert read_record(record_map(a_job(), record)) == record
    assert read_record(None) == Record()
    assert read_record({"data": {"record.json": "{"}}) == Record()
    assert record.server.total == 4


def test_secrets_hold_what_they_should() -> None:
    job = a_job()
    kit = kit_secret(job, "server", "set-7", {"server.key": b"\x00key"})
    assert base64.b64decode(kit["data"]["server.key"]) == b"\x00key"
    assert annotation(kit, "fedjob.dev/kits") == "set-7"
    assert "fedjob.dev/worker" not in kit["metadata"]["labels"]
    url = url_secret(job, "worker-0", SignedUrl("http://u", "jobs/k", NOW + 60))
    assert base64.b64decode(url["data"]["url"]) == b"http://u"
    assert url["metadata"]["labels"]["fedjob.dev/worker"] == "worker-0"
    assert url_expires(url, "jobs/k") == NOW + 60
    assert url_expires(url, "jobs/other") == 0
    assert url_expires(None, "jobs/k") == 0
    url["metadata"]["annotations"]["fedjob.dev/expires"] = "soon"
    assert url_expires(url, "jobs/k") == 0
    assert "http://u" not in repr(SignedUrl("http://u", "k", 0))


def egress(policy: Body) -> list[Body]:
    rules: list[Body] = policy["spec"]["egress"]
    return rules


def test_workers_reach_server_names_and_store_and_nobody_reaches_them() -> None:
    policy = worker_policy(a_job(), STORE, https=False)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]
    server, dns, store = egress(policy)
    assert server["to"][0]["podSelector"]["matchLabels"] == {
        "fedjob.dev/job": "digits",
        "app.kubernetes.io/component": "server",
    }
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    labels = store["to"][0]["namespaceSelector"]["matchLabels"]
    assert labels == {"kubernetes.io/metadata.name": "fedjob-system"}


def test_images_on_the_web_open_public_addresses_alone() -> None:
    """Row 19."""
    *_, web = egress(worker_policy(a_job(), STORE, https=True))
    block = web["to"][0]["ipBlock"]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(block["except"])
    assert web["ports"] == [{"protocol": "TCP", "port": 443}]


@pytest.mark.parametrize(
    ("endpoint", "to", "port"),
    [
        (None, "0.0.0.0/0", 443),
        ("https://s3.example.com", "0.0.0.0/0", 443),
        ("http://minio.example:9000", "0.0.0.0/0", 9000),
        ("http://localhost:9000", "0.0.0.0/0", 9000),
        ("http://192.0.2.7:8333", "192.0.2.7/32", 8333),
        ("http://[2001:db8::7]", "2001:db8::7/128", 80),
    ],
)
def test_a_store_outside_the_cluster_is_one_port(endpoint: str | None, to: str, port: int) -> None:
    store = StoreLocation(endpoint=endpoint, bucket="jobs")
    rule = egress(worker_policy(a_job(), store, https=False))[-1]
    assert rule["to"][0]["ipBlock"]["cidr"] == to
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]


def test_a_bare_name_is_a_service_beside_the_job() -> None:
    store = StoreLocation(endpoint="http://store:8333", bucket="jobs")
    rule = egress(worker_policy(a_job(), store, https=False))[-1]
    assert (
        rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "team"
    )


def test_the_server_hears_its_workers_and_the_operator() -> None:
    fl, status = server_policy(a_job(), STORE, DEFAULTS)["spec"]["ingress"]
    assert fl["ports"] == [{"protocol": "TCP", "port": 8002}]
    assert fl["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    (operator,) = status["from"]
    assert operator["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "fedjob-operator"}
    opened = server_policy(a_job(), STORE, Defaults(open_status=True))["spec"]["ingress"][1]
    assert "from" not in opened
