"""The events of a Docker daemon become errors with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from fedjob_operator.image import docker_builder
from fedjob_operator.image.docker_builder import (
    build_image,
    check_daemon,
    follow_build,
    follow_transfer,
)
from fedjob_operator.image.errors import (
    DaemonNotAllowedError,
    ImageBuildFailedError,
    ImageError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from fedjob_operator.kube.built_images import BuiltImages

DIGEST = "sha256:" + "a" * 64


def test_failed_build_reports_its_last_lines() -> None:
    events: list[dict[str, Any]] = [{"stream": f"\x1b[91mline {n}\n\x1b[0m"} for n in range(100)]
    events += [{"stream": "\n"}, {"stream": "Removing intermediate container 1\n ---> 2\n"}]
    events += [{"error": "returned a non-zero code: 1"}]
    with pytest.raises(ImageBuildFailedError, match="non-zero code: 1") as caught:
        follow_build(events, "i")
    lines = str(caught.value).splitlines()
    assert lines[-1] == "line 99"
    assert lines[1] == "line 80"


def test_successful_build_and_push_raise_nothing() -> None:
    follow_build([{"stream": "ok\n"}, {"aux": {"ID": "sha256:1"}}], "i")
    assert follow_transfer([{"status": "Pushing"}], "r.test", "i", "") == ""
    pushed = {"aux": {"Tag": "job-1", "Digest": DIGEST, "Size": 5}}
    assert follow_transfer([{"status": "x"}, pushed], "r.test", "i", "") == DIGEST


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("denied: requested access to the resource is denied", RegistryRefusedError),
        ("unauthorized: authentication required", RegistryRefusedError),
        ("dial tcp 10.0.0.1:443: connect: connection refused", RegistryUnreachableError),
        ("x509: certificate signed by unknown authority", RegistryUnreachableError),
        ("http: server gave HTTP response to HTTPS client", RegistryUnreachableError),
        ("no space left on device", ImageBuildFailedError),
    ],
)
def test_daemon_message_gives_the_reason(message: str, kind: type[ImageError]) -> None:
    with pytest.raises(kind) as caught:
        follow_transfer([{"status": "x"}, {"error": message}], "r.test", "i", "Secret ml/pull")
    assert caught.value.reason.value == kind.__name__.removesuffix("Error")
    assert message in str(caught.value)
    if kind is RegistryRefusedError:
        assert "Secret ml/pull" in str(caught.value)


TLS = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}


@pytest.mark.parametrize(
    "environment",
    [
        {"DOCKER_HOST": "tcp://docker.builds.svc:2375"},
        {"DOCKER_HOST": "tcp://10.0.0.1:2375", "DOCKER_TLS_VERIFY": "1"},
        {"DOCKER_HOST": "http://docker.builds.svc:2375"},
        {"DOCKER_HOST": "tcp://docker.builds.svc:2376", "DOCKER_CERT_PATH": "/certs"},
    ],
    ids=str,
)
def test_daemon_on_the_network_needs_certificates(environment: dict[str, str]) -> None:
    with pytest.raises(DaemonNotAllowedError, match=r"builds\.dockerTls\.secretName"):
        check_daemon(environment)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"DOCKER_HOST": "unix:///var/run/docker.sock"},
        {"DOCKER_HOST": "tcp://127.0.0.1:2375"},
        {"DOCKER_HOST": "tcp://localhost:2375"},
        {"DOCKER_HOST": "tcp://docker.builds.svc:2376", **TLS},
    ],
    ids=str,
)
def test_daemon_of_this_machine_or_with_certificates_is_used(environment: dict[str, str]) -> None:
    check_daemon(environment)


class Registry:
    """A repository that has manifests by tag and by digest."""

    class reference:  # noqa: N801 (an attribute of a repository)
        name = "r.test/jobs/team"
        registry = "r.test"

    def __init__(self, **manifests: str) -> None:
        self.manifests = manifests
        self.asked: list[str] = []

    def manifest(self, reference: str) -> str | None:
        self.asked.append(reference)
        return self.manifests.get(reference)


class Daemon:
    """Builds and pushes whatever it is asked to."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.builds = registry, 0

    def build(self, **_: Any) -> list[dict[str, Any]]:
        self.builds += 1
        return []

    def remove_image(self, *_: Any, **__: Any) -> None:
        """Nothing is kept."""


def built(monkeypatch: pytest.MonkeyPatch, registry: Registry, known: BuiltImages) -> Any:
    """The result of a build, and the daemon that was used."""
    daemon = Daemon(registry)

    @contextlib.contextmanager
    def open_daemon() -> Iterator[Daemon]:
        yield daemon

    def push(_client: Any, _target: Any, tag: str) -> str:
        registry.manifests |= {DIGEST: "built", tag: "built"}
        return DIGEST

    class Base:
        pinned = "q.test/base@sha256:1"

        class documents:  # noqa: N801 (an attribute of a base image)
            class manifest:  # noqa: N801 (an attribute of its documents)
                digest = "sha256:1"

    monkeypatch.setattr(docker_builder, "find_base", lambda *_: Base)
    monkeypatch.setattr(docker_builder, "_daemon", open_daemon)
    monkeypatch.setattr(docker_builder, "_pull", lambda *_: None)
    monkeypatch.setattr(docker_builder, "_push", push)
    source: Any = None
    target: Any = registry
    platform: Any = None
    return build_image(source, target, {"a": b""}, (), platform=platform, built=known), daemon


def test_tag_in_the_registry_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may push an image with our tag and our label."""

    class Forged(Registry):
        def manifest(self, reference: str) -> str | None:
            self.asked.append(reference)
            return "forged" if reference.startswith("job-") else self.manifests.get(reference)

    registry, known = Forged(), BuiltImages()
    (digest, hit), daemon = built(monkeypatch, registry, known)
    assert (digest, hit, daemon.builds) == (DIGEST, False, 1)
    (digest, hit), daemon = built(monkeypatch, registry, known)
    assert (digest, hit, daemon.builds) == (DIGEST, True, 0)
    assert set(registry.asked) == {DIGEST}, "only digests are asked for"


def test_recorded_image_that_the_registry_has_lost_is_built_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = BuiltImages()
    built(monkeypatch, Registry(), known)
    (digest, hit), daemon = built(monkeypatch, Registry(), known)
    assert (digest, hit, daemon.builds) == (DIGEST, False, 1)
