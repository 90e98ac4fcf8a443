"""What charts/fedjob lets the operator do: no more than its calls need, nowhere else than asked."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.chart import ALL, NAMESPACE, Object, of_kind, only, render
from fedjob.spec.models.job import GROUP, PLURAL
from fedjob_operator.kube.built_images import NAME as IMAGE_RECORD
from fedjob_operator.kube.client import PLURALS, WATCHED
from fedjob_operator.settings import Settings

MODES: dict[str, dict[str, Any]] = {
    "own namespace": {},
    "cluster": {"clusterWide": True},
    "pruned": {"prune": {"enabled": True}, "storage": {"bucket": "jobs"}},
    "pruned cluster": {
        "prune": {"enabled": True},
        "storage": {"bucket": "jobs"},
        "clusterWide": True,
    },
    "namespaced": {"namespaces": ["a", "b"]},
    "everything": ALL,
    "namespaced, no nodes": {"namespaces": ["a"], "rbac": {"readNodes": False}},
}
EVERYONE = {
    "apiGroup": "rbac.authorization.k8s.io",
    "kind": "Group",
    "name": "system:authenticated",
}
DANGEROUS_VERBS = {"*", "escalate", "bind", "impersonate", "deletecollection", "update"}
CHILD_VERBS = {"get", "list", "watch", "create", "patch", "delete"}


def allowed(rules: list[Object]) -> dict[str, set[str]]:
    """Verbs by `group/resource`."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found


EXPECTED = {
    f"{GROUP}/{PLURAL}": {"get", "list", "watch", "delete"},
    f"{GROUP}/{PLURAL}/status": {"patch"},
    f"{GROUP}/{PLURAL}/finalizers": {"update"},
    "/events": {"create", "patch"},
    **{
        f"{version.rpartition('/')[0]}/{PLURALS[kind]}": CHILD_VERBS
        for kind, version in WATCHED.items()
    },
    "/secrets": {"get", "create", "patch", "delete"},
}
"""Derived from the kinds that the operator watches and writes."""


@pytest.mark.parametrize("mode", MODES)
def test_no_rule_has_a_wildcard(mode: str) -> None:
    roles = of_kind(render(MODES[mode]), "Role", "ClusterRole")
    assert roles
    for role in roles:
        for rule in role["rules"]:
            values = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [value for value in values if "*" in value], role["metadata"]["name"]
            assert "nonResourceURLs" not in rule


@pytest.mark.parametrize("mode", MODES)
def test_the_operator_may_do_nothing_dangerous(mode: str) -> None:
    objects = render(MODES[mode])
    for role in operator_roles(objects):
        for rule in role["rules"]:
            harmless = set(rule["resources"]) <= {"leases", f"{PLURAL}/finalizers"}
            assert harmless or not DANGEROUS_VERBS & set(rule["verbs"]), rule
            assert not [r for r in rule["resources"] if r.startswith("pods/")], rule


def operator_roles(objects: list[Object]) -> list[Object]:
    """Roles and ClusterRoles that are bound to the operator."""
    bound = {
        (b["roleRef"]["kind"], b["metadata"].get("namespace"), b["roleRef"]["name"])
        for b in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        if EVERYONE not in b["subjects"]
    }
    return [
        role
        for role in of_kind(objects, "Role", "ClusterRole")
        if (role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]) in bound
    ]


def test_cluster_mode_is_one_cluster_role() -> None:
    objects = render(MODES["cluster"])
    role = only(objects, "ClusterRole", f"{NAMESPACE}:fedjob-operator")
    assert allowed(role["rules"]) == EXPECTED
    assert [r["metadata"]["name"] for r in of_kind(objects, "Role")] == ["fedjob-operator-lease"]


def test_everyone_may_reach_the_tunnel_and_no_other_pod() -> None:
    """A port-forward to the store's pod would reach ports of SeaweedFS without authentication."""
    role = only(render(ALL), "Role", "fedjob-tunnel")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert allowed(role["rules"]) == {"/pods": {"get"}, "/pods/portforward": {"create", "get"}}
    assert {name for rule in role["rules"] for name in rule["resourceNames"]} == {"fedjob-tunnel-0"}
    binding = only(render(ALL), "RoleBinding", "fedjob-tunnel")
    assert binding["metadata"]["namespace"] == NAMESPACE
    assert binding["subjects"] == [EVERYONE]
    store = {"store": {"enabled": True, "tunnel": {"enabled": False}}}
    for values in (store, {"store": {"enabled": True}, "rbac": {"create": False}}, {}):
        names = {r["metadata"]["name"] for r in of_kind(render(values), "Role", "RoleBinding")}
        assert "fedjob-tunnel" not in names


def test_namespaced_mode_is_a_role_in_each() -> None:
    objects = render(MODES["namespaced"])
    roles = {r["metadata"]["namespace"]: r for r in of_kind(objects, "Role")}
    assert set(roles) == {"a", "b", NAMESPACE}
    for namespace in ("a", "b"):
        assert allowed(roles[namespace]["rules"]) == EXPECTED
    bound = {b["roleRef"]["name"] for b in of_kind(objects, "ClusterRoleBinding")}
    assert bound == {f"{NAMESPACE}:fedjob-nodes", f"{NAMESPACE}:fedjob-identity"}
    nodes = only(objects, "ClusterRole", f"{NAMESPACE}:fedjob-nodes")
    assert allowed(nodes["rules"]) == {"/nodes": {"list"}}
    identity = only(objects, "ClusterRole", f"{NAMESPACE}:fedjob-identity")
    assert allowed(identity["rules"]) == {"/namespaces": {"get"}}
    assert [rule["resourceNames"] for rule in identity["rules"]] == [["kube-system"]]


def test_the_lease_is_the_operator_s_own() -> None:
    role = only(render(), "Role", "fedjob-operator-lease")
    assert role["metadata"]["namespace"] == NAMESPACE
    by_name = {tuple(rule.get("resourceNames", [])): rule["verbs"] for rule in role["rules"]}
    assert by_name == {
        (): ["create"],
        (Settings().lease_name,): ["get", "update"],
        (IMAGE_RECORD,): ["get", "patch"],
    }
    assert only(render(), "ConfigMap", IMAGE_RECORD)["metadata"]["namespace"] == NAMESPACE


def test_prune_reaches_a_store_that_only_some_may_reach() -> None:
    chosen = [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]
    store = {"enabled": True, "tunnel": {"enabled": False}, "networkPolicy": {"from": chosen}}
    policy = only(render({"store": store}), "NetworkPolicy", "fedjob-store")["spec"]
    assert policy["ingress"][0]["from"] == chosen
    both = render({"store": store, "prune": {"enabled": True}})
    pods = only(both, "CronJob", "fedjob-prune")["spec"]["jobTemplate"]["spec"]["template"]
    *others, own = only(both, "NetworkPolicy", "fedjob-store")["spec"]["ingress"][0]["from"]
    assert others == chosen
    selected = own["podSelector"]["matchLabels"].items()
    assert selected <= pods["metadata"]["labels"].items()


def test_default_is_the_release_s_own_namespace() -> None:
    objects = render()
    assert not [r for r in of_kind(objects, "ClusterRole") if "operator" in r["metadata"]["name"]]
    role = only(objects, "Role", f"{NAMESPACE}:fedjob-operator")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert allowed(role["rules"]) == EXPECTED


@pytest.mark.parametrize("mode", MODES)
def test_secrets_are_never_listed(mode: str) -> None:
    """A right to list them is one to read those of everybody."""
    for role in of_kind(render(MODES[mode]), "Role", "ClusterRole"):
        for rule in role["rules"]:
            if "secrets" in rule["resources"]:
                assert not {"list", "watch"} & set(rule["verbs"]), role["metadata"]["name"]


@pytest.mark.parametrize("mode", ["pruned", "pruned cluster"])
def test_prune_may_see_which_jobs_exist_and_nothing_else(mode: str) -> None:
    objects = render(MODES[mode])
    account = "fedjob-prune"
    bound = [
        b["roleRef"]["name"]
        for b in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        if b["subjects"][0]["name"] == account
    ]
    rules = [r for role in of_kind(objects, "Role", "ClusterRole")
             if role["metadata"]["name"] in bound for r in role["rules"]]  # fmt: skip
    assert allowed(rules) == {f"{GROUP}/{PLURAL}": {"list"}, "/namespaces": {"get"}}
    spec = only(objects, "CronJob", account)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == account
    [container] = spec["containers"]
    assert ("--all-namespaces" in container["args"]) == (mode == "pruned cluster")
    assert "--results" not in container["args"]


def test_nothing_is_cluster_wide_where_that_is_refused() -> None:
    """For whoever installs with rights in a few namespaces only."""
    values = {
        "namespaces": ["a"],
        "clusterId": "lab-1",
        "admissionPolicy": {"enabled": False},
        "crds": {"install": False},
        "rbac": {"readNodes": False, "aggregate": False},
    }
    kinds = {found["kind"] for found in render(values)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    assert "ValidatingAdmissionPolicy" not in kinds


def test_rbac_can_be_left_to_others() -> None:
    kinds = {found["kind"] for found in render({"rbac": {"create": False}})}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("account", [{}, {"create": False, "name": "mine"}], ids=str)
def test_bindings_lead_to_a_role_and_the_account(mode: str, account: dict[str, Any]) -> None:
    objects = render({**MODES[mode], "serviceAccount": account})
    name = account.get("name", "fedjob-operator")
    roles = {
        (r["kind"], r["metadata"].get("namespace"), r["metadata"]["name"])
        for r in of_kind(objects, "Role", "ClusterRole")
    }
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        ref = binding["roleRef"]
        assert (ref["kind"], binding["metadata"].get("namespace"), ref["name"]) in roles
        if ref["name"] == "fedjob-tunnel" or "prune" in binding["metadata"]["name"]:
            continue
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
        ]
    pod = only(objects, "Deployment", "fedjob-operator")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == name
    accounts = {found["metadata"]["name"] for found in of_kind(objects, "ServiceAccount")}
    assert accounts - {"fedjob-prune"} == (set() if account else {name})


def test_users_get_their_jobs_and_nothing_else() -> None:
    objects = render()
    for role in ("edit", "view"):
        found = only(objects, "ClusterRole", f"{NAMESPACE}:fedjob-{role}")
        assert {r.partition("/")[0] for r in allowed(found["rules"])} == {GROUP}
        label = f"rbac.authorization.k8s.io/aggregate-to-{role}"
        assert found["metadata"]["labels"][label] == "true"
    user = only(objects, "ClusterRole", f"{NAMESPACE}:fedjob-user")
    verbs = {"get", "list", "watch", "create", "update", "patch", "delete"}
    assert allowed(user["rules"]) == {
        f"{GROUP}/{PLURAL}": verbs,
        f"{GROUP}/{PLURAL}/status": {"get"},
    }
    assert not [name for name in user["metadata"]["labels"] if "aggregate" in name]
    bound = {b["roleRef"]["name"] for b in of_kind(objects, "RoleBinding", "ClusterRoleBinding")}
    assert user["metadata"]["name"] not in bound
    view = only(objects, "ClusterRole", f"{NAMESPACE}:fedjob-view")
    assert set().union(*allowed(view["rules"]).values()) == {"get", "list", "watch"}


def test_two_releases_do_not_share_cluster_roles() -> None:
    names = [r["metadata"]["name"] for r in of_kind(render(), "ClusterRole", "ClusterRoleBinding")]
    assert all(name.startswith(f"{NAMESPACE}:") for name in names)
