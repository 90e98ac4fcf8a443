"""What a job needs in a cluster, seen with many rights and with few."""

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.diagnosis import Outcome, diagnose
from support.cluster.fake_api_server import Planned

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
CRD = "/apis/fedjob.dev/v1alpha1"


@pytest.fixture
def whole(fake):
    """A cluster that has everything."""
    fake.routes["/version"] = {"gitVersion": "v1.36.3"}
    fake.routes[CRD] = {"resources": [{"name": "federatedjobs"}]}
    fake.routes[REVIEW] = {"status": {"allowed": True}}
    fake.routes["/apis/apps/v1/deployments"] = {"items": [workload("operator", 1)]}
    fake.routes["/apis/apps/v1/statefulsets"] = {"items": [workload("store", 1)]}
    fake.routes["/api/v1/nodes"] = {"items": [node(2), node(0)]}
    return fake


def workload(component, ready):
    labels = {"app.kubernetes.io/component": component, "helm.sh/chart": "fedjob-0.2.0"}
    return {
        "metadata": {"name": f"fedjob-{component}", "namespace": "sys", "labels": labels},
        "spec": {"replicas": 1},
        "status": {"readyReplicas": ready},
    }


def node(gpus):
    return {"status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}


def found(jobs):
    return {check.name: check for check in diagnose(jobs.api, "team")}


def test_whole_cluster_is_whole(whole, jobs):
    checks = found(jobs)
    assert {name: str(check.outcome) for name, check in checks.items()} == {
        "API server": "ok", "FederatedJobs": "ok", "rights": "ok", "operator": "ok",
        "store": "ok", "GPUs": "ok",
    }  # fmt: skip
    assert checks["GPUs"].detail == "2 on 1 of 2 nodes"
    assert "v1.36.3" in checks["API server"].detail


def test_operator_that_is_not_ready_or_not_there(whole, jobs):
    whole.routes["/apis/apps/v1/deployments"] = {"items": [workload("operator", 0)]}
    check = found(jobs)["operator"]
    assert (check.outcome, check.detail) == (Outcome.MISSING, "sys/fedjob-operator, 0 of 1 ready")
    assert "kubectl -n sys describe pods" in check.fix
    whole.routes["/apis/apps/v1/deployments"] = {"items": []}
    assert found(jobs)["operator"].detail == "no operator is installed"


def test_rights_that_are_missing_are_named(whole, jobs):
    whole.routes[REVIEW] = {"status": {"allowed": False}}
    checks = found(jobs)
    assert checks["rights"].outcome is Outcome.MISSING
    assert "no right to get, list, watch, create, patch, delete" in checks["rights"].detail
    assert "kubectl create rolebinding" in checks["rights"].fix
    assert checks["get pods/log"].outcome is Outcome.UNKNOWN


def test_what_may_not_be_seen_is_no_fault(whole, jobs):
    for path in ("/apis/apps/v1/deployments", "/api/v1/nodes"):
        whole.routes[path] = Planned(403, "no")
    checks = found(jobs)
    assert checks["operator"].outcome is Outcome.UNKNOWN
    assert checks["GPUs"].outcome is Outcome.UNKNOWN


def test_cluster_without_gpus_is_a_warning(whole, jobs):
    whole.routes["/api/v1/nodes"] = {"items": [node(0)]}
    assert found(jobs)["GPUs"].outcome is Outcome.WARNING


@pytest.mark.parametrize("answer", [Planned(404, "not found"), {"resources": []}])
def test_missing_crd_ends_the_checks(whole, jobs, answer):
    whole.routes[CRD] = answer
    checks = found(jobs)
    assert list(checks) == ["API server", "FederatedJobs"]
    assert "helm install" in checks["FederatedJobs"].fix


def test_unreachable_cluster_is_the_only_check(fake, tmp_path):
    path = fake.kubeconfig(tmp_path)
    fake.plan(500, "sick", times=100)
    api = ApiServer(Target(kubeconfig=path), sleep=lambda _: None, patience=0.0)
    (check,) = diagnose(api, "team")
    assert check.outcome is Outcome.MISSING
