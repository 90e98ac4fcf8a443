"""What a job needs in a cluster, and what of it is missing, each with a fix.

A check that the credentials do not allow is reported as unknown, not as a fault: a data scientist
sees less of a cluster than the person who installed fedjob.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.errors import (
    ForbiddenError,
    ObjectNotFoundError,
    Request,
)
from fedjob.errors import FedjobError
from fedjob.spec.models.job import GROUP, PLURAL, VERSION

_GPU = "nvidia.com/gpu"
_NEEDED = ("get", "list", "watch", "create", "patch", "delete")
_HELPFUL = (
    ("list", "", "pods", "", "`fedjob logs` reads the store's copy of a log"),
    ("get", "", "pods", "log", "`fedjob logs` reads the store's copy, and cannot follow"),
    ("list", "", "events", "", "`fedjob events` shows conditions instead"),
)


class Outcome(StrEnum):
    """What a check has found."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a job needs, or that helps.

    Attributes:
        name: What was looked at.
        outcome: What was found.
        detail: What is there, or what is wrong.
        fix: What to do; empty where nothing is to be done.
    """

    name: str
    outcome: Outcome
    detail: str
    fix: str = ""


def diagnose(api: ApiServer, namespace: str) -> Iterator[Check]:
    """Every check, one after the other; those that need an earlier one end when it fails.

    Args:
        api: The cluster.
        namespace: Where jobs are to run.
    """
    try:
        version = api.json("GET", "/version", Request("get", "version"))
    except FedjobError as error:
        yield Check("API server", Outcome.MISSING, str(error), "see the kubeconfig")
        return
    context = api.context or "pod"
    where = f"{api.server}, Kubernetes {version.get('gitVersion', '?')}, context {context}"
    yield Check("API server", Outcome.OK, where)
    crd = _crd(api)
    yield crd
    if crd.outcome is Outcome.MISSING:
        return
    yield _rights(api, namespace)
    yield from _helpful(api, namespace)
    yield from _workloads(api)
    yield _gpus(api)


def _crd(api: ApiServer) -> Check:
    fix = "install fedjob: `helm install fedjob charts/fedjob -n fedjob-system --create-namespace`"
    try:
        found = api.json("GET", f"/apis/{GROUP}/{VERSION}", Request("get", "apis"))
    except ObjectNotFoundError:
        return Check("FederatedJobs", Outcome.MISSING, "the cluster does not know them", fix)
    except FedjobError as error:
        return Check("FederatedJobs", Outcome.UNKNOWN, str(error))
    names = {str(each.get("name")) for each in found.get("resources", [])}
    if PLURAL not in names:
        return Check("FederatedJobs", Outcome.MISSING, f"{GROUP} has no {PLURAL}", fix)
    return Check("FederatedJobs", Outcome.OK, f"{GROUP}/{VERSION}")


def _allowed(api: ApiServer, namespace: str, verb: str, group: str, resource: str) -> bool:
    name, _, sub = resource.partition("/")
    attributes = {
        "namespace": namespace, "verb": verb, "group": group, "resource": name,
        "subresource": sub,
    }  # fmt: skip
    body = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    request = Request("create", "selfsubjectaccessreviews")
    answer = api.json("POST", path, request, body=body)
    return bool((answer.get("status") or {}).get("allowed"))


def _rights(api: ApiServer, namespace: str) -> Check:
    try:
        missing = [verb for verb in _NEEDED if not _allowed(api, namespace, verb, GROUP, PLURAL)]
    except FedjobError as error:
        return Check("rights", Outcome.UNKNOWN, str(error))
    if missing:
        fix = (
            f"ask for the ClusterRole `edit` in it: `kubectl create rolebinding fedjob -n "
            f"{namespace} --clusterrole=edit --user=NAME`"
        )
        text = f"no right to {', '.join(missing)} FederatedJobs in namespace {namespace}"
        return Check("rights", Outcome.MISSING, text, fix)
    return Check("rights", Outcome.OK, f"FederatedJobs in namespace {namespace}")


def _helpful(api: ApiServer, namespace: str) -> Iterator[Check]:
    for verb, group, resource, sub, instead in _HELPFUL:
        name = f"{resource}/{sub}" if sub else resource
        try:
            allowed = _allowed(api, namespace, verb, group, name)
        except FedjobError:
            continue
        if not allowed:
            yield Check(f"{verb} {name}", Outcome.UNKNOWN, f"not allowed: {instead}")


def _workloads(api: ApiServer) -> Iterator[Check]:
    """Operator, store and registry of the chart, where they may be listed."""
    kinds = (("Deployment", "deployments"), ("StatefulSet", "statefulsets"))
    found: dict[str, Mapping[str, Any]] = {}
    for _, plural in kinds:
        try:
            page = api.json(
                "GET", f"/apis/apps/v1/{plural}", Request("list", plural),
                query={"labelSelector": "app.kubernetes.io/component in (operator,store,registry)"},
            )  # fmt: skip
        except ForbiddenError:
            yield Check("operator", Outcome.UNKNOWN, "its Deployment may not be read from here")
            return
        except FedjobError as error:
            yield Check("operator", Outcome.UNKNOWN, str(error))
            return
        for item in page.get("items", []):
            labels = item["metadata"].get("labels") or {}
            if str(labels.get("helm.sh/chart", "")).startswith("fedjob"):
                found[str(labels["app.kubernetes.io/component"])] = item
    if "operator" not in found:
        fix = "install fedjob: `helm install fedjob charts/fedjob -n fedjob-system ...`"
        yield Check("operator", Outcome.MISSING, "no operator is installed", fix)
    describe: dict[str, Callable[[Mapping[str, Any]], Check]] = {
        component: (lambda item, component=component: _workload(component, item))  # type: ignore[misc]
        for component in ("operator", "store", "registry")
    }
    for component, check in describe.items():
        if component in found:
            yield check(found[component])


def _workload(component: str, item: Mapping[str, Any]) -> Check:
    meta, status = item["metadata"], item.get("status") or {}
    ready = int(status.get("readyReplicas") or 0)
    wanted = int((item.get("spec") or {}).get("replicas") or 0)
    where = f"{meta['namespace']}/{meta['name']}, {ready} of {wanted} ready"
    if ready == 0:
        fix = f"`kubectl -n {meta['namespace']} describe pods` says why; so does its log"
        return Check(component, Outcome.MISSING, where, fix)
    return Check(component, Outcome.OK, where)


def _gpus(api: ApiServer) -> Check:
    try:
        page = api.json("GET", "/api/v1/nodes", Request("list", "nodes"))
    except FedjobError:
        return Check("GPUs", Outcome.UNKNOWN, "nodes may not be listed from here")
    counts = [
        int(((node.get("status") or {}).get("allocatable") or {}).get(_GPU, 0))
        for node in page.get("items", [])
    ]
    total, nodes = sum(counts), sum(count > 0 for count in counts)
    if not total:
        text = f"none of {len(counts)} nodes offers {_GPU}; workers train on CPUs"
        return Check("GPUs", Outcome.WARNING, text, "see docs/how-to/gpu.md, or set workers.gpu: 0")
    return Check("GPUs", Outcome.OK, f"{total} on {nodes} of {len(counts)} nodes")
