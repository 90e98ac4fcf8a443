"""Calls to the API server, against a small one on loopback."""

from __future__ import annotations

import pytest
from kubernetes.aio.client import ApiClient

from fedjob_operator.kube.client import ApiError, Cluster, path_of
from support.operator_api import POD, Server, run


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
