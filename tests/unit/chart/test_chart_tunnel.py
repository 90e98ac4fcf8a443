"""The tunnel of charts/fedjob: how clients outside the cluster reach the chart's own store."""

from __future__ import annotations

from typing import Any

from cluster.chart import environment, only, render


def tunnel_of(values: dict[str, Any]) -> str:
    """The tunnel that the operator names to clients."""
    deployment = only(render(values), "Deployment", "fedjob-operator")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return environment(container).get("FEDJOB_STORE_TUNNEL", "")


def test_clients_reach_the_store_through_the_tunnel_unless_it_has_an_address() -> None:
    objects = render({"store": {"enabled": True, "networkPolicy": {"from": [{"podSelector": {}}]}}})
    args = only(objects, "StatefulSet", "fedjob-tunnel")["spec"]["template"]["spec"]["containers"][
        0
    ]["args"]
    assert args[-3:] == ["8333", "8080", "fedjob-store.fedjob-system.svc:8333"]
    policy = only(objects, "NetworkPolicy", "fedjob-tunnel")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [8333, 53, 53]
    own = policy["podSelector"]["matchLabels"]
    peers = only(objects, "NetworkPolicy", "fedjob-store")["spec"]["ingress"][0]["from"]
    assert {"podSelector": {"matchLabels": own}} in peers
    outside = {"store": {"enabled": True}, "storage": {"clientEndpoint": "https://s3.test"}}
    assert tunnel_of(outside) == ""
    off = {"store": {"enabled": True, "tunnel": {"enabled": False}}}
    assert tunnel_of(off) == ""
    assert not [o for o in render(off) if "tunnel" in o["metadata"]["name"]]
