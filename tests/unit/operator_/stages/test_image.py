"""The image stage: the request that follows from a job and the operator's settings."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.image.request import ImageRequest, ImageResult
from fedjob_operator.kube.built_images import ImageRecord
from fedjob_operator.naming import Body
from fedjob_operator.settings import Settings, read_settings
from fedjob_operator.stages import image
from fedjob_operator.stages.errors import InputError
from support.operator.samples import a_job

ENVIRONMENT = {
    "FEDJOB_NAMESPACE": "fedjob-system",
    "FEDJOB_BASE_IMAGE": "r.test/runtime:1",
    "FEDJOB_REPOSITORY": "r.test/jobs",
}


def settings(**more: str) -> Settings:
    return read_settings({**ENVIRONMENT, **more})


class Secrets:
    """A cluster with Secrets by name."""

    def __init__(self, **secrets: Body) -> None:
        self._secrets = secrets

    async def get(self, _version: str, _kind: str, _namespace: str, name: str) -> Body | None:
        return self._secrets.get(name)


NOTHING: Any = Secrets()
RECORD = ImageRecord(NOTHING, "fedjob-system")


def docker_config(registry: str, user: str) -> Body:
    text = json.dumps({"auths": {registry: {"username": user, "password": "pw"}}})
    return {"data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()}}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[ImageRequest]:
    found: list[ImageRequest] = []

    async def ensure_image(request: ImageRequest) -> ImageResult:
        found.append(request)
        return ImageResult(
            reference="r.test/jobs@sha256:1",
            digest="sha256:1",
            cache_hit=True,
            seconds=0.5,
            supervisor="r.test/runtime@sha256:2",
        )

    monkeypatch.setattr(image, "ensure_image", ensure_image)
    return found


def build(job: FederatedJob, cluster: Any = None, **more: str) -> Any:
    there = cluster or Secrets()
    record = ImageRecord(there, "fedjob-system")
    return asyncio.run(image.build_image(there, job, {"a": b""}, settings(**more), record))


def test_defaults_of_the_operator_are_used(requests: list[ImageRequest]) -> None:
    prepared = build(a_job())
    assert (prepared.reference, prepared.cache_hit) == ("r.test/jobs@sha256:1", True)
    [request] = requests
    assert (request.base, request.repository) == ("r.test/runtime:1", "r.test/jobs/team")
    assert (request.builder, request.pull_secret, request.insecure) == ("append", None, False)
    assert request.operator_repositories == {"r.test/runtime", "r.test/jobs/team"}
    assert request.supervisor == "r.test/runtime:1"
    assert prepared.supervisor == "r.test/runtime@sha256:2"


def test_the_job_s_own_base_and_repository_take_precedence(requests: list[ImageRequest]) -> None:
    image_spec = {"base": "q.test/base:2", "repository": "q.test/mine"}
    build(a_job(image=image_spec), FEDJOB_ALLOWED_REGISTRIES="q.test")
    assert (requests[0].base, requests[0].repository) == ("q.test/base:2", "q.test/mine")


PACKAGES = {"requirements.txt": b"humanize==4.12.3\n"}


def test_packages_select_the_docker_builder(requests: list[ImageRequest]) -> None:
    asyncio.run(image.build_image(NOTHING, a_job(), PACKAGES, settings(), RECORD))
    assert requests[0].builder == "docker"
    assert requests[0].requirements == ("humanize==4.12.3",)


def test_append_is_refused_with_packages(requests: list[ImageRequest]) -> None:
    job = a_job(image={"builder": "append"})
    with pytest.raises(InputError, match=r"spec\.image\.builder: append adds one layer"):
        asyncio.run(image.build_image(NOTHING, job, PACKAGES, settings(), RECORD))
    assert requests == []


def test_base_registry_is_insecure_like_the_other_unless_set(requests: list[ImageRequest]) -> None:
    build(a_job(), FEDJOB_REGISTRY_INSECURE="true")
    build(a_job(), FEDJOB_REGISTRY_INSECURE="true", FEDJOB_BASE_INSECURE="false")
    assert [request.base_insecure for request in requests] == [True, False]


def test_pull_secrets_of_the_job_are_kept_apart_from_the_operator_s(
    requests: list[ImageRequest], tmp_path: Path
) -> None:
    default = tmp_path / "config.json"
    auths = {name: {"username": "operator", "password": "pw"} for name in ("r.test", "q.test")}
    default.write_text(json.dumps({"auths": auths}))
    cluster = Secrets(mine=docker_config("r.test", "me"))
    job = a_job(image={"pullSecrets": ["mine"]})
    build(job, cluster, FEDJOB_REGISTRY_CONFIG=str(default))
    merged = json.loads(str(requests[0].pull_secret))["auths"]
    assert {name: entry["username"] for name, entry in merged.items()} == {"r.test": "me"}
    assert json.loads(str(requests[0].operator_config))["auths"] == auths
    assert requests[0].secret_name == "Secret team/mine"


ELSEWHERE = {
    "base of another registry": ({"base": "evil.test/b:1"}, "spec.image.base"),
    "repository of another registry": ({"repository": "evil.test/b"}, "spec.image.repository"),
    "an address": ({"repository": "169.254.169.254/b"}, "spec.image.repository"),
    "another port": ({"base": "r.test:5000/b:1"}, "spec.image.base"),
    "another namespace": ({"repository": "r.test/jobs/victim"}, "spec.image.repository"),
    "a namespace that begins alike": (
        {"repository": "r.test/jobs/team-b"},
        "spec.image.repository",
    ),
    "all namespaces": ({"repository": "r.test/jobs"}, "spec.image.repository"),
}


@pytest.mark.parametrize("attack", ELSEWHERE)
def test_registries_and_repositories_of_others_are_refused(
    attack: str, requests: list[ImageRequest]
) -> None:
    spec, field = ELSEWHERE[attack]
    with pytest.raises(InputError) as caught:
        build(a_job(image=spec))
    assert caught.value.reason is Reason.REGISTRY_NOT_ALLOWED
    assert [fault.field for fault in caught.value.faults] == [field]
    assert requests == []


def test_allowed_registries_are_used(requests: list[ImageRequest]) -> None:
    other = a_job(image={"base": "q.test/base:2", "repository": "q.test/x"})
    build(other, FEDJOB_ALLOWED_REGISTRIES="s.test,q.test")
    build(other, FEDJOB_ALLOWED_REGISTRIES="*")
    build(a_job(image={"repository": "r.test/jobs/team/own"}))
    assert len(requests) == 3
    assert requests[0].hosts == {"s.test", "q.test"}


@pytest.mark.parametrize(
    ("secret", "message"),
    [(None, "does not exist"), ({"data": {}}, "has no .dockerconfigjson")],
    ids=["missing", "other type"],
)
def test_unusable_pull_secret_is_refused_with_a_command(secret: Any, message: str) -> None:
    cluster = Secrets(**({} if secret is None else {"mine": secret}))
    with pytest.raises(InputError) as caught:
        build(a_job(image={"pullSecrets": ["mine"]}), cluster)
    assert caught.value.reason is Reason.REGISTRY_REFUSED
    assert f"Secret team/mine {message}" in str(caught.value)
    assert "kubectl -n team create secret docker-registry mine" in str(caught.value)


def test_missing_base_and_repository_are_both_reported() -> None:
    with pytest.raises(InputError) as caught:
        build(a_job(), FEDJOB_BASE_IMAGE="", FEDJOB_REPOSITORY="")
    assert caught.value.reason is Reason.SPEC_INVALID
    assert [f.field for f in caught.value.faults] == ["spec.image.base", "spec.image.repository"]


def test_image_of_the_job_gets_the_jobs_own_keys_only() -> None:
    """Without a runtime image of the operator's, the job's image would run the supervisor."""
    image_spec = {"base": "r.test/base:1"}
    with pytest.raises(InputError) as caught:
        build(a_job(image=image_spec), FEDJOB_BASE_IMAGE="")
    assert [fault.field for fault in caught.value.faults] == ["spec.storage.secretRef"]


@pytest.mark.usefixtures("requests")
def test_job_with_its_own_keys_may_run_the_supervisor_in_its_own_image() -> None:
    own = {"secretRef": {"name": "mine"}}
    build(a_job(image={"base": "r.test/base:1"}, storage=own), FEDJOB_BASE_IMAGE="")
