"""The id of the cluster: a setting, else the uid of kube-system, never a guess."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from fedjob.errors import InvalidInputError
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.kube.cluster_identity import read_cluster_id


class _Namespaces:
    """An API server that answers every read with one object, or refuses it."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, []  # type: ignore[var-annotated]

    async def get(self, *path: str) -> Any:
        self.asked.append(path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def read(answer: Any, given: str = "") -> tuple[str, list[tuple[str, ...]]]:
    server = _Namespaces(answer)
    return asyncio.run(read_cluster_id(cast(Cluster, server), given)), server.asked


def test_id_is_the_uid_of_kube_system() -> None:
    found, asked = read({"metadata": {"uid": "uid-of-kube-system"}})
    assert found == "uid-of-kube-system"
    assert asked == [("v1", "Namespace", "", "kube-system")]


def test_id_of_the_settings_is_taken_without_a_question() -> None:
    assert read(AssertionError("asked"), "lab-1") == ("lab-1", [])


@pytest.mark.parametrize("answer", [ApiError("GET", 403, "Forbidden", "no"), None])
def test_cluster_that_cannot_be_identified_is_named_with_the_way_out(answer: Any) -> None:
    with pytest.raises(InvalidInputError, match="clusterId"):
        read(answer)


def test_api_server_that_does_not_answer_is_not_a_missing_right() -> None:
    with pytest.raises(ApiError):
        read(ApiError("GET", 0, "Unreachable", "no answer"))
