"""NetworkPolicies: workers reach the server, DNS and the store; only workers reach the server.

A policy matches addresses, not names: for a store outside the cluster that is given by name, its
port is open to every address except those of the nodes' metadata services.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fedjob.protocol.config import StoreLocation
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import (
    COMPONENT,
    JOB,
    OPERATOR_LABELS,
    SERVER,
    Body,
    metadata_of,
    policy_name,
    sealed,
)
from fedjob_operator.resources.pod_contract import FL_PORT, HTTP_PORT
from fedjob_operator.resources.pods import WORKER
from fedjob_operator.state.observed import Defaults

PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
NODE_LOCAL_DNS = "169.254.20.10/32"
"""The address that NodeLocal DNSCache has on every node."""
_NAMESPACE = "kubernetes.io/metadata.name"


def server_policy(job: FederatedJob, store: StoreLocation, defaults: Defaults) -> Body:
    """The server accepts workers on the federation's port and the operator on the status port."""
    operator = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE: defaults.namespace}},
        "podSelector": {"matchLabels": OPERATOR_LABELS},
    }
    status: Body = {"ports": [_tcp(HTTP_PORT)]}
    if not defaults.open_status:
        status["from"] = [operator]
    ingress = [{"from": [_pods(job, WORKER)], "ports": [_tcp(FL_PORT)]}, status]
    return _policy(job, SERVER, ingress, [_names(), _store(job, store, defaults)])


def worker_policy(
    job: FederatedJob, store: StoreLocation, defaults: Defaults, *, https: bool
) -> Body:
    """The workers accept no connections; they reach the server, DNS and the store.

    Args:
        job: The job that owns it.
        store: The store that their shards are in.
        defaults: The operator's settings for jobs.
        https: Whether manifests name https:// images (row 19), which opens public addresses on
            port 443.
    """
    egress = [
        {"to": [_pods(job, SERVER)], "ports": [_tcp(FL_PORT)]},
        _names(),
        _store(job, store, defaults),
    ]
    if https:
        public = {"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE}}
        egress.append({"to": [public], "ports": [_tcp(443)]})
    return _policy(job, WORKER, [], egress)


def _policy(job: FederatedJob, component: str, ingress: list[Body], egress: list[Body]) -> Body:
    selector = _pods(job, component)["podSelector"]
    # The API server drops an empty list; policyTypes alone already denies all ingress.
    rules: Body = {"ingress": ingress} if ingress else {}
    return sealed(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata_of(job, policy_name(job.metadata.name, component)),
            "spec": {
                "podSelector": selector,
                "policyTypes": ["Ingress", "Egress"],
                **rules,
                "egress": egress,
            },
        }
    )


def _pods(job: FederatedJob, component: str) -> Body:
    return {"podSelector": {"matchLabels": {JOB: job.metadata.name, COMPONENT: component}}}


def _names() -> Body:
    """The cluster's own DNS: another name server would carry data out of the cluster."""
    return {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            },
            {"ipBlock": {"cidr": NODE_LOCAL_DNS}},
        ],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def _store(job: FederatedJob, store: StoreLocation, defaults: Defaults) -> Body:
    url = urlsplit(store.endpoint or "https://s3.amazonaws.com")
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        namespace = _service_namespace(host, job.metadata.namespace)
        if namespace is not None:
            # A policy sees the port of the Service's pods, which may differ from the URL's.
            ports = [port]
            if defaults.store_pod_port and store.endpoint == defaults.endpoint:
                ports = [defaults.store_pod_port]
            peer = {"namespaceSelector": {"matchLabels": {_NAMESPACE: namespace}}}
            return {"to": [peer], "ports": [_tcp(each) for each in ports]}
        anywhere = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
        return {"to": [anywhere], "ports": [_tcp(port)]}
    cidr = f"{address}/{address.max_prefixlen}"
    return {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [_tcp(port)]}


def _service_namespace(host: str, own: str) -> str | None:
    """The namespace of a Service's name; None for a host outside the cluster."""
    parts = host.split(".")
    if len(parts) == 1 and host != "localhost":
        return own
    # `name.namespace` looks like any name outside the cluster; `name.namespace.svc` does not.
    return parts[1] if len(parts) > 2 and parts[2] == "svc" else None


def _tcp(port: int) -> Body:
    return {"protocol": "TCP", "port": port}
