"""The API server behind a kubeconfig: which one, with which credentials, and what it refuses."""

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.errors import (
    ApiServerError,
    ClusterUnreachableError,
    CrdMissingError,
    ForbiddenError,
    KubeconfigError,
    NoClusterError,
    Request,
    UnauthorizedError,
)
from support.cluster.fake_api_server import fake_api_server

JOBS = "/apis/fedjob.dev/v1alpha1/namespaces/team/federatedjobs"
LIST = Request("list", namespace="team")


class Pauses(list):
    """Stands in for time.sleep."""

    def __call__(self, seconds):
        self.append(seconds)


def connect(fake, folder, *, token="", sleep=None, **target):
    path = fake.kubeconfig(folder, token)
    return ApiServer(Target(kubeconfig=path, **target), sleep=Pauses() if sleep is None else sleep)


def test_namespace_is_that_of_the_option_then_of_the_context_then_default(fake, tmp_path):
    assert connect(fake, tmp_path).namespace == "team"
    assert connect(fake, tmp_path, namespace="mine").namespace == "mine"
    assert connect(fake, tmp_path, context="other").namespace == "default"
    assert connect(fake, tmp_path).context == "fake"


def test_kubeconfig_files_are_those_of_the_environment(fake, tmp_path, monkeypatch):
    path = fake.kubeconfig(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'gone'}:{path}")
    assert ApiServer().server == fake.url


def test_unknown_context_lists_the_known_ones(fake, tmp_path):
    with pytest.raises(KubeconfigError) as error:
        connect(fake, tmp_path, context="prod")
    (fault,) = error.value.faults
    assert (fault.field, fault.fix) == ("--context", "one of: fake, other")


def test_no_kubeconfig_and_no_pod(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NoClusterError, match="give --kubeconfig FILE"):
        ApiServer()
    with pytest.raises(KubeconfigError, match="is not a file"):
        ApiServer(Target(kubeconfig=tmp_path / "none"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "cannot be used"),
        ("", "cannot be used"),
        ("[]", "cannot be used"),
        ("{clusters: [], contexts: [], users: []}", "names no current-context"),
    ],
)
def test_unusable_kubeconfig_is_named(tmp_path, text, problem):
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(KubeconfigError) as error:
        ApiServer(Target(kubeconfig=path))
    assert str(path) in str(error.value)
    assert problem in str(error.value)


def test_credentials_are_read_again_after_401_and_the_request_is_repeated(fake, tmp_path):
    fake.tokens = {"new"}
    api = connect(fake, tmp_path, token="old")
    fake.kubeconfig(tmp_path, "new")
    assert api.json("GET", JOBS, LIST)["items"] == []
    assert [asked.headers["authorization"] for asked in fake.asked] == ["Bearer old", "Bearer new"]


def test_401_with_the_new_credentials_too_is_an_error(fake, tmp_path):
    fake.tokens = {"new"}
    api = connect(fake, tmp_path, token="old")
    with pytest.raises(UnauthorizedError, match="log in to the cluster again"):
        api.json("GET", JOBS, LIST)
    assert len(fake.asked) == 2


@pytest.mark.parametrize("code", [429, 500, 503])
def test_transient_answers_are_retried(fake, tmp_path, code):
    pauses = Pauses()
    api = connect(fake, tmp_path, sleep=pauses)
    fake.plan(code, times=2)
    assert api.json("GET", JOBS, LIST)["items"] == []
    assert len(pauses) == 2


def test_retry_after_of_the_server_is_waited_for(fake, tmp_path):
    pauses = Pauses()
    api = connect(fake, tmp_path, sleep=pauses)
    fake.plan(429, headers={"Retry-After": "7"})
    api.json("GET", JOBS, LIST)
    assert pauses == [7.0]


def test_broken_connection_is_retried(fake, tmp_path):
    api = connect(fake, tmp_path)
    fake.plan(0)
    assert api.json("GET", JOBS, LIST)["items"] == []


def test_server_error_that_stays_is_reported_with_its_text(fake, tmp_path):
    fake.plan(500, "etcd is sick", times=1000)
    api = ApiServer(Target(kubeconfig=fake.kubeconfig(tmp_path)), sleep=Pauses(), patience=0)
    with pytest.raises(ApiServerError, match="answers 500: etcd is sick"):
        api.json("GET", JOBS, LIST)


def test_unreachable_server_is_named(tmp_path):
    with fake_api_server() as gone:
        path = gone.kubeconfig(tmp_path)
    api = ApiServer(Target(kubeconfig=path), sleep=Pauses(), patience=0)
    with pytest.raises(ClusterUnreachableError, match=gone.url):
        api.json("GET", JOBS, LIST)


def test_forbidden_names_verb_resource_and_namespace(fake, tmp_path):
    api = connect(fake, tmp_path)
    fake.plan(403, "User x cannot list")
    with pytest.raises(ForbiddenError) as error:
        api.json("GET", JOBS, LIST)
    text = str(error.value)
    assert "list federatedjobs in namespace team" in text
    assert "ask for a Role with verb list on federatedjobs, API group fedjob.dev" in text


def test_missing_crd_says_to_install(fake, tmp_path):
    api = connect(fake, tmp_path)
    fake.plan(404, "the server could not find the requested resource")
    with pytest.raises(CrdMissingError, match="helm install fedjob"):
        api.json("GET", JOBS, LIST)


def test_answer_of_something_else_is_no_api_server(fake, tmp_path):
    api = connect(fake, tmp_path)
    fake.routes[JOBS] = []
    with pytest.raises(ClusterUnreachableError, match="does not answer as an API server"):
        api.json("GET", JOBS, LIST)
