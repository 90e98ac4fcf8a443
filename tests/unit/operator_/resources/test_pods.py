"""The pods: security, mounts, resources, names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedjob_operator.naming import Body
from fedjob_operator.resources.pod_contract import STORE_KEYS
from fedjob_operator.resources.pods import server_pod, worker_pod
from fedjob_operator.state.observed import Defaults
from support.operator.samples import (
    DEFAULTS,
    KEYS,
    a_job,
    a_start,
    every_child,
)


def containers_of(pod: Body) -> list[Body]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def pods() -> list[Body]:
    return [body for body in every_child(a_job()) if body["kind"] == "Pod"]


@pytest.mark.parametrize("pod", pods(), ids=lambda b: b["metadata"]["name"])
def test_pods_satisfy_pod_security_restricted(pod: Body) -> None:
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers_of(pod):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security.get("runAsUser", spec["securityContext"].get("runAsUser", 0)) > 10_000
    allowed = {"emptyDir", "configMap", "secret"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


@pytest.mark.parametrize("pod", pods(), ids=lambda b: b["metadata"]["name"])
def test_pods_have_no_token_and_one_writable_folder(pod: Body) -> None:
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in containers_of(pod):
        writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        shared = {"supervisor": "orders", "federation": "reports"}.get(container["name"])
        handover = {f"/run/fedjob/{shared}"} if shared else set()
        assert writable <= {"/work", "/dev/shm"} | handover
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
    author = next(c for c in containers_of(pod) if c["name"] != "supervisor")
    assert author["image"] == "image@sha256:1"


def secrets_of(pod: Body) -> set[str]:
    """Every Secret that a pod can read."""
    mounted = {v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
    env = [variable for container in containers_of(pod) for variable in container["env"]]
    return mounted | {e["valueFrom"]["secretKeyRef"]["name"] for e in env if "valueFrom" in e}


def test_worker_mounts_only_its_own_kit_and_url() -> None:
    """Row 38."""
    pod = worker_pod(a_job(), "worker-1", a_start(), DEFAULTS, gpus=False)
    assert secrets_of(pod) == {"digits-kit-worker-1", "digits-url-worker-1"}
    config = next(v for v in pod["spec"]["volumes"] if v["name"] == "config")
    assert config["configMap"]["items"] == [{"key": "worker-1.json", "path": "worker-1.json"}]


def test_server_gets_the_store_keys_copied_or_by_reference() -> None:
    own = server_pod(a_job(), a_start(), DEFAULTS)
    assert secrets_of(own) == {"digits-kit-server", "digits-kit-admin", "digits-store"}
    theirs = server_pod(a_job(storage={"secretRef": {"name": "mine"}}), a_start(), DEFAULTS)
    assert secrets_of(theirs) == {"digits-kit-server", "digits-kit-admin", "mine"}
    token = next(e for e in own["spec"]["containers"][0]["env"] if e["name"] == "AWS_SESSION_TOKEN")
    assert token["valueFrom"]["secretKeyRef"]["optional"] is True


# The two containers of the server's pod.


def server_containers(pod: Body) -> tuple[Body, Body]:
    """Supervisor and federation."""
    (supervisor,), (federation,) = pod["spec"]["containers"], pod["spec"]["initContainers"]
    assert (supervisor["name"], federation["name"]) == ("supervisor", "federation")
    return supervisor, federation


def mounts_of(container: Body) -> dict[str, tuple[str, bool]]:
    """(path, whether it is read-only) by volume."""
    return {
        mount["name"]: (mount["mountPath"], mount.get("readOnly", False))
        for mount in container["volumeMounts"]
    }


@pytest.fixture
def server() -> Body:
    return server_pod(a_job(), a_start(), replace(DEFAULTS, runtime_image="own/runtime@sha256:2"))


def test_only_the_supervisor_gets_keys_and_it_runs_the_operators_image(server: Body) -> None:
    supervisor, federation = server_containers(server)
    assert {e["name"] for e in supervisor["env"] if "valueFrom" in e} == {*STORE_KEYS}
    assert all("valueFrom" not in variable for variable in federation["env"])
    assert "envFrom" not in federation
    assert supervisor["image"] == "own/runtime@sha256:2"
    assert supervisor["command"][2] == "fedjob-server"
    assert federation["command"][2] == "fedjob-server-agent"
    assert {"name": "PYTHONPATH", "value": ""} in supervisor["env"]
    # No volume of the federation holds the keys, which are in no file at all.
    secrets = {v["name"] for v in server["spec"]["volumes"] if "secret" in v}
    assert secrets == {"kit", "admin"}
    assert secrets.isdisjoint(mounts_of(supervisor))


def test_containers_share_two_folders_and_no_process(server: Body) -> None:
    supervisor, federation = server_containers(server)
    users = [c["securityContext"]["runAsUser"] for c in (supervisor, federation)]
    assert len({*users}) == 2
    assert "runAsUser" not in server["spec"]["securityContext"]
    assert "shareProcessNamespace" not in server["spec"]
    assert server["spec"]["securityContext"]["fsGroup"] not in users
    ours, theirs = mounts_of(supervisor), mounts_of(federation)
    assert ours.keys() & theirs.keys() == {"config", "orders", "reports"}
    assert (ours["orders"], theirs["orders"]) == (
        ("/run/fedjob/orders", False),
        ("/run/fedjob/orders", True),
    )
    assert (ours["reports"], theirs["reports"]) == (
        ("/run/fedjob/reports", True),
        ("/run/fedjob/reports", False),
    )


def test_federation_is_a_sidecar_and_the_supervisor_what_kubectl_shows(server: Body) -> None:
    """The pod succeeds with the supervisor, and each container is restarted alone."""
    supervisor, federation = server_containers(server)
    assert federation["restartPolicy"] == "Always"
    assert "restartPolicy" not in supervisor
    annotations = server["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/default-container"] == "supervisor"
    assert "readinessProbe" in supervisor
    assert "readinessProbe" not in federation


def test_operator_without_an_image_of_its_own_leaves_the_job_with_its_own() -> None:
    """Only where the keys are the job's own, which the image stage checks."""
    supervisor, _ = server_containers(server_pod(a_job(), a_start(), DEFAULTS))
    assert supervisor["image"] == "image@sha256:1"


def test_supervisors_image_is_the_one_that_was_pinned_with_the_jobs() -> None:
    """So a newer operator does not mix releases within a run."""
    start = replace(a_start(), supervisor="own/runtime@sha256:1")
    defaults = replace(DEFAULTS, runtime_image="own/runtime:2")
    supervisor, _ = server_containers(server_pod(a_job(), start, defaults))
    assert supervisor["image"] == "own/runtime@sha256:1"


def test_gpus_are_limits_and_placement_is_copied() -> None:
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
    spec = worker_pod(job, "worker-0", a_start(3), defaults, gpus=True)["spec"]
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
    fallen = worker_pod(job, "worker-0", a_start(3), defaults, gpus=False)["spec"]
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
def test_requests_that_are_not_given_get_defaults(
    resources: dict[str, Any], requests: dict[str, str], threads: str
) -> None:
    job = a_job(server={"resources": resources})
    supervisor, container = server_containers(server_pod(job, a_start(), DEFAULTS))
    assert container["resources"]["requests"] == requests
    assert supervisor["resources"]["requests"] == {"cpu": "50m", "memory": "128Mi"}
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["OMP_NUM_THREADS"] == threads


@pytest.mark.parametrize(
    ("resources", "limit"),
    [
        ({}, "32Gi"),
        ({"requests": {"memory": "8Gi"}}, "32Gi"),
        ({"requests": {"memory": "64Gi"}}, "64Gi"),
        ({"limits": {"cpu": "3"}}, "32Gi"),
        ({"limits": {"memory": "1Gi"}}, "1Gi"),
    ],
)
def test_every_pod_has_a_memory_limit(resources: dict[str, Any], limit: str) -> None:
    job = a_job(server={"resources": resources}, workers={"gpu": 0, "resources": resources})
    made = (
        server_pod(job, a_start(), DEFAULTS),
        worker_pod(job, "worker-0", a_start(), DEFAULTS, gpus=False),
    )
    for pod in made:
        found = {c["name"]: c["resources"]["limits"]["memory"] for c in containers_of(pod)}
        supervisor = found.pop("supervisor", "the worker has none")
        assert supervisor
        assert set(found.values()) == {limit}


@pytest.mark.parametrize(("limit", "expected"), [("3Gi", "3Gi"), ("1Gi", "2Gi")])
def test_supervisors_resources_are_the_operators_choice(limit: str, expected: str) -> None:
    chosen = replace(
        DEFAULTS,
        supervisor_cpu="2",
        supervisor_memory="2Gi",
        supervisor_memory_limit=limit,
    )
    job = a_job(server={"resources": {"limits": {"cpu": "7", "memory": "9Gi"}}})
    supervisor, _ = server_containers(server_pod(job, a_start(), chosen))
    assert supervisor["resources"] == {
        "requests": {"cpu": "2", "memory": "2Gi"},
        "limits": {"memory": expected},
    }


@pytest.mark.parametrize("pod", pods(), ids=lambda b: b["metadata"]["name"])
def test_every_empty_dir_has_a_size_limit(pod: Body) -> None:
    """A pod fills no node's disk, and no more memory than its container may have."""
    found = {v["name"]: v["emptyDir"] for v in pod["spec"]["volumes"] if "emptyDir" in v}
    assert found["work"] == {"sizeLimit": "100Gi"}
    assert all(volume["sizeLimit"] for volume in found.values())
    if "shm" in found:
        assert found["shm"] == {"medium": "Memory", "sizeLimit": "32Gi"}


def test_replacements_have_new_names() -> None:
    found = [
        worker_pod(a_job(), "worker-0", a_start(n), DEFAULTS, gpus=False)["metadata"]["name"]
        for n in range(3)
    ]
    assert found == ["digits-worker-0", "digits-worker-0-r1", "digits-worker-0-r2"]


def test_server_may_pull_the_supervisors_image_with_the_operators_login() -> None:
    login = '{"auths": {"r.test": {"auth": "x"}}}'
    defaults = replace(DEFAULTS, pull_login=login, runtime_image="r.test/runtime:1")
    spec = server_pod(a_job(), a_start(), defaults)["spec"]
    assert spec["imagePullSecrets"] == [{"name": "digits-pull"}]
    worker = worker_pod(a_job(), "worker-0", a_start(), defaults, gpus=False)["spec"]
    assert "imagePullSecrets" not in worker, "its image is in another registry"
