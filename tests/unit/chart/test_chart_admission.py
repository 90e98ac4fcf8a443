"""What charts/fedjob adds to RBAC: admission policy, certificates, password of the registry."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml

from cluster.chart import NAMESPACE, Object, environment, of_kind, only, pods, render
from fedjob_operator.kube.built_images import NAME as IMAGE_RECORD
from fedjob_operator.kube.client import PLURALS, VERSIONS

POLICY = "fedjob-system-fedjob-operator"
REGISTRY_ON = {"registry": {"enabled": True}}


def test_policy_covers_every_kind_that_the_operator_writes() -> None:
    policy = only(render(), "ValidatingAdmissionPolicy", POLICY)["spec"]
    covered = {
        (group, resource)
        for rule in policy["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if set(rule["operations"]) == {"CREATE", "UPDATE", "DELETE"}
    }
    written = {(v.rpartition("/")[0], PLURALS[kind]) for kind, v in VERSIONS.items()}
    assert written <= covered
    assert policy["failurePolicy"] == "Fail"
    binding = only(render(), "ValidatingAdmissionPolicyBinding", POLICY)["spec"]
    assert binding == {"policyName": POLICY, "validationActions": ["Deny"]}


@pytest.mark.parametrize("name", ["", "mine"])
def test_policy_is_for_the_operators_account(name: str) -> None:
    account = {"create": False, "name": name} if name else {}
    objects = render({"serviceAccount": account})
    policy = only(objects, "ValidatingAdmissionPolicy", POLICY)["spec"]
    who, images = (each["expression"] for each in policy["matchConditions"])
    full = f"system:serviceaccount:{NAMESPACE}:{name or 'fedjob-operator'}"
    assert who == f'request.userInfo.username == "{full}"'
    assert f'"{IMAGE_RECORD}"' in images
    assert f'request.namespace == "{NAMESPACE}"' in images


def test_policy_can_be_left_out() -> None:
    objects = render({"admissionPolicy": {"enabled": False}})
    assert not of_kind(objects, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def volumes(objects: list[Object], name: str) -> dict[str, Any]:
    """The volumes of a pod, by name."""
    return {volume["name"]: volume for volume in dict(pods(objects))[name]["volumes"]}


def test_daemon_gets_a_client_certificate() -> None:
    builds = {"dockerHost": "tcp://docker.builds.svc:2376", "dockerTls": {"secretName": "docker"}}
    objects = render({"builds": builds})
    assert volumes(objects, "fedjob-operator")["docker-tls"]["secret"]["secretName"] == "docker"
    [container] = dict(pods(objects))["fedjob-operator"]["containers"]
    found = environment(container)
    assert (found["DOCKER_TLS_VERIFY"], found["DOCKER_CERT_PATH"]) == ("1", "/etc/fedjob/docker")
    [mount] = [m for m in container["volumeMounts"] if m["name"] == "docker-tls"]
    assert mount["mountPath"] == found["DOCKER_CERT_PATH"]
    assert "DOCKER_TLS_VERIFY" not in environment(
        dict(pods(render()))["fedjob-operator"]["containers"][0]
    )


def test_startup_kits_are_made_in_memory() -> None:
    kits = volumes(render(), "fedjob-operator")["kits"]
    assert kits["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}


def test_every_empty_dir_of_the_chart_but_the_data_has_a_size_limit() -> None:
    objects = render({**REGISTRY_ON, "store": {"enabled": True}, "prune": {"enabled": True}})
    for name, pod in pods(objects):
        for volume in pod["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), name


def test_registry_asks_for_a_password_and_deletes_nothing() -> None:
    objects = render(REGISTRY_ON)
    config = yaml.safe_load(only(objects, "ConfigMap", "fedjob-registry")["data"]["config.yml"])
    assert config["storage"]["delete"] == {"enabled": False}
    assert config["auth"]["htpasswd"]["path"] == "/etc/fedjob-registry/auth/htpasswd"
    secret = only(objects, "Secret", "fedjob-registry-auth")
    login = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    host = "fedjob-registry.fedjob-system.svc:5000"
    user, _, password = base64.b64decode(login["auths"][host]["auth"]).decode().partition(":")
    line = base64.b64decode(secret["data"]["htpasswd"]).decode().strip()
    assert user == "fedjob"
    assert len(password) == 40
    assert line.startswith("fedjob:$2")
    used = volumes(objects, "fedjob-operator")["registry-config"]["secret"]["secretName"]
    assert used == "fedjob-registry-auth"
    [container] = dict(pods(objects))["fedjob-operator"]["containers"]
    assert environment(container)["FEDJOB_SHARE_PULL_CREDENTIALS"] == "true"


def test_registry_without_a_password_is_a_choice() -> None:
    objects = render({"registry": {"enabled": True, "auth": {"enabled": False}}})
    config = yaml.safe_load(only(objects, "ConfigMap", "fedjob-registry")["data"]["config.yml"])
    assert "auth" not in config
    assert "registry-config" not in volumes(objects, "fedjob-operator")
