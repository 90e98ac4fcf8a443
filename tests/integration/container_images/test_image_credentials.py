"""Users, tokens and a private CA, with registries that require them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedjob.reasons import Reason
from fedjob_operator.image import manifests as documents
from fedjob_operator.image.builder import ImageRequest, ensure_image_now
from fedjob_operator.image.errors import (
    RegistryNotAllowedError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from integration.container_images.test_image_servers import (
    Authority,
    RegistryServer,
    TokenServer,
    docker_config,
    htpasswd,
    push_base,
    repository,
)

SECRET = "Secret ml/pull"
Secured = tuple[RegistryServer, Authority]


def make(base: str, target: str, **over: Any) -> ImageRequest:
    given: dict[str, Any] = {"files": {"meta.json": b"{}"}, "secret_name": SECRET}
    return ImageRequest(
        base, target, platform=documents.Platform("linux", "amd64"), **(given | over)
    )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Basic authentication over TLS, with a base in it."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    tls = {"certificate": str(authority.certificate), "key": str(authority.key)}
    with RegistryServer(folder / "r", http={"tls": tls}, auth=htpasswd(folder)) as server:
        with repository(
            f"{server.name}/base", ca_pem=authority.pem, user=True, insecure=False
        ) as opened:
            push_base(opened)
        yield server, authority


@pytest.fixture(scope="module")
def tokens(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RegistryServer, TokenServer]]:
    """Bearer tokens, over plain HTTP."""
    folder = tmp_path_factory.mktemp("tokens")
    with (
        TokenServer(folder / "t") as server,
        RegistryServer(folder / "r", auth=server.section()) as registry,
    ):
        with repository(f"{registry.name}/base", user=True, hosts=server.hosts) as opened:
            push_base(opened)
        yield registry, server


def test_user_and_private_ca_come_from_the_request(secured: Secured) -> None:
    server, authority = secured
    asked = make(
        f"{server.name}/base:1",
        f"{server.name}/jobs/good",
        pull_secret=docker_config(server.name),
        ca_pem=authority.pem,
    )
    assert not ensure_image_now(asked).cache_hit
    assert ensure_image_now(asked).cache_hit
    # Basic credentials are sent with every further request: one challenge per repository.
    before = len(server.requests())
    ensure_image_now(asked)
    assert [status for *_, status in server.requests()[before:]].count(401) == 2


def test_private_ca_does_not_replace_the_public_ones(secured: Secured) -> None:
    _, authority = secured
    asked = make("r.test/base:1", "r.test/jobs", ca_pem=authority.pem)
    with repository("r.test/base", ca_pem=asked.ca_pem, insecure=False) as opened:
        adapter = opened._connection._session.get_adapter("https://r.test")
        trusted = adapter.poolmanager.connection_pool_kw["ssl_context"].get_ca_certs()  # type: ignore[attr-defined]
    assert len(trusted) > 10
    assert any("fedjob test CA" in str(each["subject"]) for each in trusted)


@pytest.mark.parametrize(
    ("secret", "says", "fix"),
    [
        (("pusher", "wrong"), "with our credentials", SECRET),
        (None, "without credentials", "spec.image.pullSecrets"),
    ],
    ids=["wrong password", "no Secret"],
)
def test_refusal_names_registry_and_secret(
    secured: Secured, secret: tuple[str, str] | None, says: str, fix: str
) -> None:
    server, authority = secured
    asked = make(
        f"{server.name}/base:1",
        f"{server.name}/jobs/refused",
        pull_secret=None if secret is None else docker_config(server.name, *secret),
        ca_pem=authority.pem,
    )
    with pytest.raises(RegistryRefusedError) as caught:
        ensure_image_now(asked)
    assert caught.value.registry == server.name
    assert caught.value.reason is Reason.REGISTRY_REFUSED
    assert says in str(caught.value)
    assert "401 UNAUTHORIZED" in str(caught.value)
    assert fix in caught.value.fix
    assert "wrong" not in str(caught.value)


def test_image_is_built_once_the_secret_is_correct(secured: Secured) -> None:
    server, authority = secured
    target = f"{server.name}/jobs/recovered"
    for password, fails in (("wrong", True), ("s3cret", False)):
        asked = make(
            f"{server.name}/base:1",
            target,
            pull_secret=docker_config(server.name, password=password),
            ca_pem=authority.pem,
        )
        if fails:
            with pytest.raises(RegistryRefusedError):
                ensure_image_now(asked)
        else:
            assert ensure_image_now(asked).reference.startswith(f"{target}@sha256:")


@pytest.mark.parametrize("ca", ["none", "another"])
def test_unknown_ca_is_reported(secured: Secured, ca: str, tmp_path: Path) -> None:
    server, _ = secured
    asked = make(
        f"{server.name}/base:1",
        f"{server.name}/jobs/untrusted",
        pull_secret=docker_config(server.name),
        ca_pem=None if ca == "none" else Authority(tmp_path).pem,
    )
    with pytest.raises(RegistryUnreachableError, match="TLS fails") as caught:
        ensure_image_now(asked)
    assert "certificate verify failed" in str(caught.value).lower()
    assert "CA" in caught.value.fix


def test_tls_to_a_plain_http_registry_suggests_insecure(
    tokens: tuple[RegistryServer, TokenServer],
) -> None:
    registry, _ = tokens
    with pytest.raises(RegistryUnreachableError, match="mark the registry insecure"):
        ensure_image_now(make(f"{registry.name}/base:1", f"{registry.name}/jobs/x"))


def test_tokens_are_fetched_for_each_scope(tokens: tuple[RegistryServer, TokenServer]) -> None:
    registry, server = tokens
    asked = make(
        f"{registry.name}/base:1",
        f"{registry.name}/jobs/token",
        pull_secret=docker_config(registry.name),
        insecure=True,
        hosts=server.hosts,
    )
    del server.scopes[:]
    assert not ensure_image_now(asked).cache_hit
    wanted = {scope for scopes in server.scopes for scope in scopes}
    assert "repository:base:pull" in wanted
    assert {"repository:jobs/token:pull,push", "repository:jobs/token:push,pull"} & wanted
    assert any("mount=" in path and status == 201 for _, path, status in registry.requests())
    assert ensure_image_now(asked).cache_hit


def test_anonymous_user_may_pull_but_not_push(tokens: tuple[RegistryServer, TokenServer]) -> None:
    registry, server = tokens
    with pytest.raises(RegistryRefusedError, match=r"POST .*jobs/nobody.* without credentials"):
        ensure_image_now(
            make(
                f"{registry.name}/base:1",
                f"{registry.name}/jobs/nobody",
                insecure=True,
                hosts=server.hosts,
            )
        )


def test_credentials_stay_away_from_a_token_server_that_is_not_listed(
    tokens: tuple[RegistryServer, TokenServer],
) -> None:
    registry, server = tokens
    asked = make(
        f"{registry.name}/base:1",
        f"{registry.name}/jobs/token",
        pull_secret=docker_config(registry.name),
        insecure=True,
    )
    del server.scopes[:]
    with pytest.raises(RegistryNotAllowedError, match="sends us there for a token"):
        ensure_image_now(asked)
    assert server.scopes == []


@pytest.mark.parametrize(
    ("base", "password"), [("base", "wrong"), ("locked/base", "s3cret")], ids=["user", "rights"]
)
def test_refusal_of_the_token_server_is_a_refusal(
    tokens: tuple[RegistryServer, TokenServer], base: str, password: str
) -> None:
    registry, server = tokens
    asked = make(
        f"{registry.name}/{base}:1",
        f"{registry.name}/jobs/locked",
        pull_secret=docker_config(registry.name, password=password),
        insecure=True,
        hosts=server.hosts,
    )
    with pytest.raises(RegistryRefusedError) as caught:
        ensure_image_now(asked)
    assert SECRET in caught.value.fix


def test_refused_mount_becomes_a_copy(tmp_path: Path) -> None:
    with TokenServer(tmp_path / "t") as server:
        folder = tmp_path / "r"
        with RegistryServer(folder) as open_registry:  # the same data, before it is locked
            with repository(f"{open_registry.name}/public/base") as opened:
                push_base(opened)
            data = str(folder / "data")
        storage = {"filesystem": {"rootdirectory": data}}
        with RegistryServer(tmp_path / "l", auth=server.section(), storage=storage) as registry:
            asked = make(
                f"{registry.name}/public/base:1",
                f"{registry.name}/jobs/copied",
                # Credentials only for the jobs: the base is read anonymously.
                pull_secret=docker_config(f"{registry.name}/jobs"),
                insecure=True,
                hosts=server.hosts,
            )
            result = ensure_image_now(asked)
            done = registry.requests()
            mounts = [status for _, path, status in done if "mount=" in path]
            assert set(mounts) == {401}
            copied = f"{registry.name}/jobs/copied"
            with repository(copied, user=True, hosts=server.hosts) as opened:
                manifest = opened.manifest(result.digest)
                assert manifest is not None
                for each in documents.layer_descriptors(manifest, ""):
                    assert len(opened.blob(each["digest"])) == each["size"]
