"""Who reaches whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob_operator.naming import Body
from fedjob_operator.resources.network_policies import server_policy, worker_policy
from fedjob_operator.state.observed import Defaults
from support.operator.samples import (
    DEFAULTS,
    STORE,
    a_job,
)


def egress(policy: Body) -> list[Body]:
    rules: list[Body] = policy["spec"]["egress"]
    return rules


def test_workers_reach_server_dns_and_store_and_accept_nothing() -> None:
    policy = worker_policy(a_job(), STORE, DEFAULTS, https=False)
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
    assert store["ports"] == [{"protocol": "TCP", "port": 8333}]


def test_names_are_asked_of_the_clusters_dns_only() -> None:
    for policy in (worker_policy(a_job(), STORE, DEFAULTS, https=False),
                   server_policy(a_job(), STORE, DEFAULTS)):  # fmt: skip
        [dns] = [rule for rule in egress(policy) if rule["ports"][0]["port"] == 53]
        pods, node = dns["to"]
        assert pods == {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
        assert node == {"ipBlock": {"cidr": "169.254.20.10/32"}}


def test_every_rule_names_its_peers_and_its_ports() -> None:
    for policy in (worker_policy(a_job(), STORE, DEFAULTS, https=True),
                   server_policy(a_job(), STORE, DEFAULTS)):  # fmt: skip
        assert all(rule["to"] and rule["ports"] for rule in egress(policy))


def test_port_of_the_stores_pods_may_differ_from_the_urls() -> None:
    moved = replace(DEFAULTS, store_pod_port=9000)
    rule = egress(worker_policy(a_job(), STORE, moved, https=False))[-1]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9000}]
    other = StoreLocation(endpoint="http://own.team.svc:7000", bucket="jobs")
    rule = egress(worker_policy(a_job(), other, moved, https=False))[-1]
    assert rule["ports"] == [{"protocol": "TCP", "port": 7000}]


def test_https_images_open_public_addresses_only() -> None:
    """Row 19."""
    *_, web = egress(worker_policy(a_job(), STORE, DEFAULTS, https=True))
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
def test_store_outside_the_cluster_is_one_port(endpoint: str | None, to: str, port: int) -> None:
    store = StoreLocation(endpoint=endpoint, bucket="jobs")
    rule = egress(worker_policy(a_job(), store, DEFAULTS, https=False))[-1]
    assert rule["to"][0]["ipBlock"]["cidr"] == to
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]


def test_bare_host_name_is_a_service_of_the_namespace() -> None:
    store = StoreLocation(endpoint="http://store:8333", bucket="jobs")
    rule = egress(worker_policy(a_job(), store, DEFAULTS, https=False))[-1]
    assert (
        rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "team"
    )


def test_server_accepts_workers_and_the_operator() -> None:
    fl, status = server_policy(a_job(), STORE, DEFAULTS)["spec"]["ingress"]
    assert fl["ports"] == [{"protocol": "TCP", "port": 8002}]
    assert fl["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    (operator,) = status["from"]
    assert operator["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "fedjob-operator"}
    opened = server_policy(a_job(), STORE, Defaults(open_status=True))["spec"]["ingress"][1]
    assert "from" not in opened
