"""Calls to the API server, against a small one on loopback."""

from __future__ import annotations

import asyncio
import json

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from fedjob_operator.kube.client import MOST_PROXIED, VERSIONS, ApiError, Cluster, path_of
from support.operator.api_server import POD, Server, run


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("v1", "Pod", "team", "p"), "/api/v1/namespaces/team/pods/p"),
        (("v1", "Node"), "/api/v1/nodes"),
        (
            ("fedjob.dev/v1alpha1", "FederatedJob", "team", "j", "status"),
            "/apis/fedjob.dev/v1alpha1/namespaces/team/federatedjobs/j/status",
        ),
    ],
)
def test_paths_of_the_api(arguments: tuple[str, ...], path: str) -> None:
    assert path_of(*arguments) == path


@pytest.mark.parametrize(
    ("there", "raised"),
    [((404, "{}"), False), ((200, '{"metadata": {"uid": "anothers"}}'), False),
     ((200, '{"metadata": {"uid": "mine"}}'), True)],
    ids=["gone", "another object", "still there"],
)  # fmt: skip
def test_conflict_on_delete_is_not_a_deletion(there: tuple[int, str], raised: bool) -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"DELETE": (409, "{}"), "GET": there}
        if raised:
            with pytest.raises(ApiError) as caught:
                await Cluster(client).delete(POD)
            assert caught.value.code == 409
        else:
            assert await Cluster(client).delete(POD) is None

    run(body)


def test_truncated_answer_is_an_error() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"GET": (200, '{"metadata": {"na')}
        with pytest.raises(ApiError, match="Unreachable"):
            await Cluster(client).get("v1", "Pod", "team", "p")

    run(body)


def test_list_follows_its_pages_and_names_what_it_lists() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        pages = [
            {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]},
            {"metadata": {}, "items": [{"metadata": {"name": "b"}}]},
        ]
        server.answers = {"GET": [(200, json.dumps(page)) for page in pages]}
        found = await Cluster(client).list_all("v1", "Pod", "team", "fedjob.dev/job=digits")
        assert [(item["kind"], item["metadata"]["name"]) for item in found] == [
            ("Pod", "a"),
            ("Pod", "b"),
        ]
        first, second = (path for _, path, _ in server.calls)
        assert "labelSelector=fedjob.dev/job" in first.replace("%2F", "/").replace("%3D", "=")
        assert "continue=next" in second

    run(body)


def test_children_are_everything_with_the_label_of_the_job_but_secrets() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        page = json.dumps({"metadata": {}, "items": [{"metadata": {"name": "x"}}]})
        server.answers = {"GET": (200, page)}
        found = await Cluster(client).children("team", "digits")
        assert sorted(item["kind"] for item in found) == sorted(set(VERSIONS) - {"Secret"})
        assert not [path for _, path, _ in server.calls if "secrets" in path]

    run(body)


def test_secrets_are_read_one_by_one_by_their_names() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"GET": [(200, '{"metadata": {"name": "a"}}'), (404, "{}")]}
        found = await Cluster(client).secrets("team", ["a", "b"])
        assert [(item["kind"], item["metadata"]["name"]) for item in found] == [("Secret", "a")]
        paths = sorted(path.partition("?")[0] for _, path, _ in server.calls)
        assert paths == [f"/api/v1/namespaces/team/secrets/{name}" for name in "ab"]

    run(body)


def test_missing_object_is_none_and_other_errors_are_raised() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"GET": [(404, "{}"), (403, '{"reason": "Forbidden", "message": "no"}')]}
        assert await Cluster(client).get("v1", "Pod", "team", "p") is None
        with pytest.raises(ApiError, match="403 Forbidden: no") as caught:
            await Cluster(client).get("v1", "Pod", "team", "p")
        assert caught.value.refused

    run(body)


@pytest.mark.parametrize("text", ["null", "[1]", "<html>", ""])
def test_error_without_a_kubernetes_status_is_still_typed(text: str) -> None:
    """A load balancer in front of the API server answers in its own way."""

    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"GET": (502, text)}
        with pytest.raises(ApiError) as caught:
            await Cluster(client).get("v1", "Pod", "team", "p")
        assert (caught.value.code, caught.value.status_reason) == (502, "Unknown")
        assert caught.value.detail == (text or "no message")

    run(body)


def test_wait_that_the_api_server_asks_for_is_in_the_error() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.headers = {"Retry-After": "7"}
        server.answers = {"POST": (429, "too many")}
        with pytest.raises(ApiError) as caught:
            await Cluster(client).create(POD)
        assert (caught.value.retry_after, caught.value.detail) == (7.0, "too many")
        assert not caught.value.refused

    run(body)


def test_writes_use_the_field_manager_of_the_operator() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        cluster = Cluster(client)
        await cluster.apply(POD)
        job = {"kind": "FederatedJob", "metadata": {**POD["metadata"], "resourceVersion": "7"}}
        await cluster.apply_status(job, {"state": "Pending"})
        (method, path, sent), (_, status_path, status) = server.calls
        assert (method, sent) == ("PATCH", POD)
        assert path.startswith("/api/v1/namespaces/team/pods/p?")
        assert "fieldManager=fedjob-operator" in path
        assert status_path.startswith(
            "/apis/fedjob.dev/v1alpha1/namespaces/team/federatedjobs/p/status?"
        )
        assert status["metadata"]["resourceVersion"] == "7"
        assert status["status"] == {"state": "Pending"}

    run(body)


def test_delete_names_the_object_that_was_observed() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        cluster = Cluster(client)
        server.answers = {"DELETE": [(200, json.dumps(POD)), (200, '{"kind": "Status"}')]}
        assert await cluster.delete(POD) == POD, "it is in its grace period"
        assert await cluster.delete(POD) is None
        server.answers = {"DELETE": [(404, "{}"), (500, "{}")]}
        assert await cluster.delete(POD) is None
        with pytest.raises(ApiError):
            await cluster.delete(POD)
        assert {sent["preconditions"]["uid"] for _, _, sent in server.calls} == {"mine"}

    run(body)


def test_pod_is_asked_through_the_api_server() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"GET": (200, '{"phase": "Training"}')}
        found = await Cluster(client).proxy("team", "p", 8080, "status", "wait=0")
        assert found == {"phase": "Training"}
        ((_, path, _),) = server.calls
        assert path == "/api/v1/namespaces/team/pods/p:8080/proxy/status?wait=0"

    run(body)


def test_answer_of_a_pod_is_read_up_to_its_bound() -> None:
    """A pod runs the author's code; the API server's own answers have no bound."""

    async def body(server: Server, client: ApiClient) -> None:
        text = json.dumps({"phase": "x" * MOST_PROXIED})
        server.answers = {"GET": (200, text)}
        with pytest.raises(ApiError, match=f"more than {MOST_PROXIED} bytes"):
            await Cluster(client).proxy("team", "p", 8080, "status", "wait=0")

    run(body)


def test_nothing_is_changed_once_the_lease_has_expired() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        left = [5.0]
        cluster = Cluster(client, lambda: left[0])
        cluster.may_act("the job folder")
        left[0] = 0.0
        with pytest.raises(ApiError, match=r"the job folder: .* the lease has expired"):
            cluster.may_act("the job folder")
        with pytest.raises(ApiError, match="NotLeading"):
            await cluster.apply(POD)
        await cluster.get("v1", "Pod", "team", "p")
        assert server.writes == []

    run(body)


def test_unreachable_api_server_is_an_error_without_a_code() -> None:
    async def main() -> None:
        async with ApiClient(Configuration(host="http://127.0.0.1:1")) as client:
            with pytest.raises(ApiError, match="Unreachable") as caught:
                await Cluster(client).get("v1", "Pod", "team", "p")
            assert (caught.value.code, caught.value.refused) == (0, False)

    asyncio.run(main())
