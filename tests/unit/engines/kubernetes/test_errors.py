"""What each refusal of the API server becomes: a class, a text and a fix."""

import json

import pytest

from fedjob.engines.kubernetes import errors
from fedjob.engines.kubernetes.errors import Request, error_for
from fedjob.errors import EXIT_INVALID, EXIT_UNAVAILABLE
from fedjob.reasons import Reason


def status(code, message, **details):
    return json.dumps(
        {"kind": "Status", "code": code, "message": message, "details": details}
    ).encode()


DIGITS = Request("patch", namespace="team", name="digits")


def test_every_cause_of_a_refusal_is_a_fault():
    causes = [{"field": "spec.a", "message": "bad a"}, {"field": "spec.b", "message": "bad b"}]
    error = error_for(422, status(422, "invalid", causes=causes), DIGITS)
    assert isinstance(error, errors.JobRefusedError)
    assert [(f.field, f.problem) for f in error.faults] == [
        ("spec.a", "bad a"),
        ("spec.b", "bad b"),
    ]
    assert error.exit_code == EXIT_INVALID


def test_refusal_without_causes_is_about_the_job():
    (fault,) = error_for(400, status(400, "unknown field spec.x"), DIGITS).faults
    assert fault.field == "federatedjobs/digits in namespace team"
    assert fault.problem == "unknown field spec.x"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (401, errors.UnauthorizedError, "kubectl auth whoami"),
        (403, errors.ForbiddenError, "ask for a Role with verb patch on federatedjobs"),
        (409, errors.ConflictError, "run the command again"),
        (500, errors.ApiServerError, "the API server answers 500"),
    ],
)
def test_class_and_fix_of_a_status(code, kind, text):
    error = error_for(code, status(code, "because"), DIGITS)
    assert type(error) is kind
    assert text in str(error)
    assert error.exit_code == EXIT_UNAVAILABLE


def test_namespace_that_is_being_deleted_is_not_a_missing_right():
    text = "unable to create new content in namespace team because it is being terminated"
    assert isinstance(error_for(403, status(403, text), DIGITS), errors.JobRefusedError)


def test_missing_namespace_says_to_create_it():
    error = error_for(404, status(404, 'namespaces "team" not found', name="team"), DIGITS)
    (fault,) = error.faults
    assert "create the namespace" in fault.fix


def test_pods_are_in_the_core_group():
    request = Request("get", "pods/log", "team", "digits-server")
    text = str(error_for(403, status(403, "no"), request))
    assert 'verb get on pods/log, API group ""' in text


def test_answer_of_a_proxy_is_shown():
    text = str(error_for(502, b"<html>Bad Gateway</html>", DIGITS))
    assert "<html>Bad Gateway</html>" in text


def test_whole_cluster_is_named():
    assert "in the whole cluster" in str(error_for(403, status(403, "no"), Request("list")))


@pytest.mark.parametrize("kind", [errors.ClusterUnreachableError, errors.NoClusterError])
def test_cluster_that_cannot_be_reached_has_a_reason_of_its_own(kind):
    assert kind("x").reason is Reason.CLUSTER_UNREACHABLE
