"""Every pod of charts/fedjob meets Pod Security `restricted`, field by field, and more than that.

The fields: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.chart import ALL, Object, only, pods, render

PLAIN_REGISTRY = {"registry": {"enabled": True, "tls": {"enabled": False}}}
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": ALL,
    "ids by the cluster": {**ALL, "runAs": None},
    "no volumes, no TLS": {
        "store": {"enabled": True, "persistence": {"enabled": False}},
        "registry": {**PLAIN_REGISTRY["registry"], "persistence": {"enabled": False}},
        "builds": {"insecure": True, "credentialsSecret": "registry"},
    },
    "own CA": {"builds": {"ca": {"configMap": "ca", "key": "bundle.pem"}}},
}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"} | {
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP = {"RuntimeDefault", "Localhost"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"], *pod.get("ephemeralContainers", [])]


def violations(pod: Object) -> Iterator[str]:
    """What the standard `restricted` forbids."""
    own = pod.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for sysctl in own.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield "sysctls"
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    yield from _context(own, "pod")
    for container in containers(pod):
        name, context = container["name"], container.get("securityContext", {})
        yield from _context(context, name)
        if context.get("privileged"):
            yield f"{name}: privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        capabilities = context.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name}: capabilities.drop"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities.add"
        if context.get("procMount", "Default") != "Default":
            yield f"{name}: procMount"
        if not context.get("runAsNonRoot", own.get("runAsNonRoot")):
            yield f"{name}: runAsNonRoot"
        if context.get("seccompProfile", own.get("seccompProfile", {})).get("type") not in SECCOMP:
            yield f"{name}: seccompProfile"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: hostPort"
        for handler in ("livenessProbe", "readinessProbe", "startupProbe"):
            action = container.get(handler, {})
            if any(action.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
                yield f"{name}: {handler}.host"


def _context(context: Object, where: str) -> Iterator[str]:
    if context.get("runAsNonRoot") is False or context.get("runAsUser") == 0:
        yield f"{where}: root"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{where}: hostProcess"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in SECCOMP:
        yield f"{where}: appArmorProfile"
    if set(context.get("seLinuxOptions", {})) & {"user", "role"}:
        yield f"{where}: seLinuxOptions"
    if context.get("seccompProfile", {}).get("type", "RuntimeDefault") not in SECCOMP:
        yield f"{where}: seccompProfile"


def pods_of(case: str) -> dict[str, Object]:
    return dict(pods(render(CASES[case])))


def test_all_pods_are_looked_at() -> None:
    assert set(pods_of("default")) == {"fedjob-operator"}
    everything = pods_of("everything")
    parts = ("operator", "store", "tunnel", "registry", "prune")
    assert set(everything) == {f"fedjob-{part}" for part in parts}
    assert [c["name"] for c in containers(everything["fedjob-operator"])] == ["bucket", "operator"]


@pytest.mark.parametrize("case", CASES)
def test_is_restricted(case: str) -> None:
    for name, pod in pods_of(case).items():
        assert list(violations(pod)) == [], name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("hostNetwork",), True),
        (("hostPID",), True),
        (("hostIPC",), True),
        (("securityContext", "runAsNonRoot"), False),
        (("securityContext", "runAsUser"), 0),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}),
        (("securityContext", "sysctls"), [{"name": "kernel.msgmax", "value": "1"}]),
        (("securityContext", "appArmorProfile"), {"type": "Unconfined"}),
        (("volumes",), [{"name": "host", "hostPath": {"path": "/"}}]),
        (("containers", 0, "securityContext"), {}),
        (("containers", 0, "securityContext", "privileged"), True),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True),
        (("containers", 0, "securityContext", "capabilities"), {"drop": ["NET_RAW"]}),
        (("containers", 0, "securityContext", "capabilities", "add"), ["SYS_ADMIN"]),
        (("containers", 0, "securityContext", "runAsUser"), 0),
        (("containers", 0, "securityContext", "procMount"), "Unmasked"),
        (("containers", 0, "securityContext", "seLinuxOptions"), {"user": "x"}),
        (("containers", 0, "ports", 0, "hostPort"), 8080),
        (("containers", 0, "livenessProbe", "httpGet", "host"), "10.0.0.1"),
    ],
    ids=str,
)
def test_the_check_sees(path: tuple[str | int, ...], value: Any) -> None:
    pod = copy.deepcopy(pods_of("default")["fedjob-operator"])
    at: Any = pod
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    assert list(violations(pod))


@pytest.mark.parametrize("case", CASES)
def test_is_stricter_than_that(case: str) -> None:
    for name, pod in pods_of(case).items():
        assert pod["automountServiceAccountToken"] is (name in ("fedjob-operator", "fedjob-prune"))
        assert pod["enableServiceLinks"] is False
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {m["name"] for c in containers(pod) for m in c["volumeMounts"]} == volumes
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            resources = container["resources"]
            assert set(resources["requests"]) == {"cpu", "memory"}
            assert "memory" in resources["limits"]
            # A throttled operator, or store, looks like a stuck one.
            assert "cpu" not in resources["limits"]
        for container in pod["containers"] if pod.get("restartPolicy") != "Never" else ():
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                http = container[probe]["httpGet"]
                assert http["port"] in {port["name"] for port in container["ports"]}


def test_ids_are_fixed_unless_the_cluster_chooses_them() -> None:
    for pod in pods_of("everything").values():
        context = pod["securityContext"]
        assert {context[f] for f in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
    for pod in pods_of("ids by the cluster").values():
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])


@pytest.mark.parametrize("part", ["operator", "store", "registry"])
def test_where_it_may_run(part: str) -> None:
    placed: dict[str, Any] = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"note": "x"},
    }
    values: dict[str, Any] = {**ALL, "imagePullSecrets": ["one", "two"]}
    values[part] = {**values[part], **placed}
    kind = "Deployment" if part == "operator" else "StatefulSet"
    template = only(render(values), kind, f"fedjob-{part}")["spec"]["template"]
    assert template["metadata"]["annotations"]["note"] == "x"
    spec = template["spec"]
    assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert spec[field] == placed[field]
