"""Builder `append` against real registries: pushed, pulled back, found again."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fedjob.reasons import Reason
from fedjob_operator.image import manifests as documents
from fedjob_operator.image.builder import ImageRequest, ImageResult, ensure_image, ensure_image_now
from fedjob_operator.image.errors import (
    BaseImageMissingError,
    ImageBuildFailedError,
    RegistryUnreachableError,
)
from fedjob_operator.image.layer import sha256_digest
from fedjob_operator.image.registry_client import Repository
from integration.container_images.test_image_servers import (
    CuttingRelay,
    RegistryServer,
    push_base,
    repository,
)

FILES = {"meta.json": b"{}", "app/custom/model_def.py": b"class Net: pass\n"}
UPLOADS = {"POST", "PUT", "PATCH"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("open") / "r") as server:
        yield server


@pytest.fixture
def names(registry: RegistryServer, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A base and a target repository that only this test uses."""
    own = sha256_digest(request.node.nodeid.encode())[7:19]
    return f"{registry.name}/base/{own}", f"{registry.name}/jobs/{own}"


def make(base: str, target: str, **over: Any) -> ImageRequest:
    given: dict[str, Any] = {"files": FILES, "insecure": True, "platform": AMD}
    return ImageRequest(f"{base}:1", target, **(given | over))


AMD = documents.Platform("linux", "amd64")


def pull(name: str, digest: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Manifest, config, and every file of every layer, checked against their digests."""
    files: dict[str, bytes] = {}
    with repository(name) as opened:
        document = opened.manifest(digest)
        assert document is not None
        manifest = json.loads(document.body)
        config = json.loads(opened.blob(manifest["config"]["digest"]))
        for descriptor, diff_id in zip(
            manifest["layers"], config["rootfs"]["diff_ids"], strict=True
        ):
            data = opened.blob(descriptor["digest"])
            assert len(data) == descriptor["size"]
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
                assert tar.fileobj is not None
                tar.fileobj.seek(0)
                assert sha256_digest(tar.fileobj.read()) == diff_id
                tar.fileobj.seek(0)
                for member in tar:
                    taken = tar.extractfile(member)
                    if taken is not None:
                        files[member.name] = taken.read()
    return manifest, config, files


def since(server: RegistryServer, before: int) -> list[tuple[str, str, int]]:
    return server.requests()[before:]


@pytest.mark.parametrize("media_type", documents.MANIFESTS)
def test_job_layer_is_added_to_the_base(
    registry: RegistryServer, names: tuple[str, str], media_type: str
) -> None:
    base, target = names
    with repository(base) as opened:
        pushed = push_base(opened, media_type=media_type)
    before = len(registry.requests())
    result = ensure_image_now(make(base, target))
    assert not result.cache_hit
    assert result.reference == f"{target}@{result.digest}"
    manifest, config, files = pull(target, result.digest)
    assert manifest["mediaType"] == media_type
    assert manifest["layers"][:-1] == json.loads(pushed.body)["layers"]
    assert config["config"] == {"User": "10001:10001", "Entrypoint": ["tini", "--"]}
    assert {name: files[f"opt/fedjob/job/{name}"] for name in FILES} == FILES
    assert {"base-0", "base-1"} <= set(files)
    # The base's layers were mounted: only the job's layer and the config were uploaded.
    done = since(registry, before)
    mounts = [each for each in done if "mount=" in each[1]]
    assert [status for *_, status in mounts] == [201, 201]
    uploads = [path for method, path, _ in done if method == "PUT" and "/blobs/" in path]
    assert len(uploads) == 2


def test_unchanged_job_is_a_cache_hit_and_sends_nothing(
    registry: RegistryServer, names: tuple[str, str]
) -> None:
    base, target = names
    with repository(base) as opened:
        push_base(opened)
    first = ensure_image_now(make(base, target))
    before = len(registry.requests())
    second = ensure_image_now(make(base, target))
    assert second.cache_hit
    assert (second.digest, second.reference) == (first.digest, first.reference)
    done = since(registry, before)
    assert [method for method, *_ in done] == ["GET", "GET", "HEAD"]
    assert not UPLOADS & {method for method, *_ in done}


@pytest.mark.parametrize("what", ["files", "base"])
def test_change_makes_another_image(names: tuple[str, str], what: str) -> None:
    base, target = names
    with repository(base) as opened:
        push_base(opened)
        first = ensure_image_now(make(base, target))
        if what == "base":
            push_base(opened, layers=3)  # the same tag, moved
        changed = {"files": {**FILES, "meta.json": b"{ }"}} if what == "files" else {}
        second = ensure_image_now(make(base, target, **changed))
    assert not second.cache_hit
    assert second.digest != first.digest
    pull(target, first.digest)  # the old image, which pods may still run, is kept


def test_base_in_the_same_repository_needs_no_mount(
    registry: RegistryServer, names: tuple[str, str]
) -> None:
    base, _ = names
    with repository(base) as opened:
        push_base(opened)
    before = len(registry.requests())
    result = ensure_image_now(make(base, base))
    assert not any("mount=" in path for _, path, _ in since(registry, before))
    pull(base, result.digest)


def test_base_of_another_registry_is_copied_once(
    registry: RegistryServer, names: tuple[str, str], tmp_path: Path
) -> None:
    _, target = names
    with RegistryServer(tmp_path / "other") as other:
        base = f"{other.name}/base"
        with repository(base) as opened:
            push_base(opened)
        result = ensure_image_now(make(base, target, base_insecure=True))
        pull(target, result.digest)
        before = len(other.requests())
        changed = make(base, target, base_insecure=True, files={"other.py": b""})
        ensure_image_now(changed)
        fetched = [path for method, path, _ in since(other, before) if method == "GET"]
        assert len(fetched) == 2  # its manifest and its config, no layer
    assert any("/manifests/" in path for path in fetched)


def test_tag_of_another_image_is_overwritten(names: tuple[str, str]) -> None:
    base, target = names
    with repository(base) as opened, repository(target) as sink:
        push_base(opened)
        good = ensure_image_now(make(base, target))
        tag = tag_of(sink)
        push_base(sink, tag=tag)
        again = ensure_image_now(make(base, target))
        assert (again.digest, again.cache_hit) == (good.digest, False)
        assert sink.manifest_digest(tag) == good.digest


def tag_of(opened: Repository) -> str:
    listed = opened._connection.request("GET", f"/v2/{opened.reference.repository}/tags/list")
    (tag,) = listed.json()["tags"]
    return str(tag)


def test_index_is_resolved_to_the_platform_s_image(names: tuple[str, str]) -> None:
    base, target = names
    with repository(base) as opened:
        amd, arm = push_base(opened, "amd"), push_base(opened, "arm", layers=1)
        entries = [
            {
                "mediaType": each.media_type,
                "digest": each.digest,
                "size": len(each.body),
                "platform": {"os": "linux", "architecture": architecture},
            }
            for each, architecture in ((arm, "arm64"), (amd, "amd64"))
        ]
        body = json.dumps(
            {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": entries}
        )
        opened.push_manifest("1", documents.Document(documents.OCI_INDEX, body.encode()))
    result = ensure_image_now(make(base, target))
    manifest, *_ = pull(target, result.digest)
    assert len(manifest["layers"]) == 3
    with pytest.raises(BaseImageMissingError, match="not for linux/s390x"):
        ensure_image_now(make(base, target, platform=documents.Platform("linux", "s390x")))


@pytest.mark.parametrize("suffix", [":absent", f"@sha256:{'0' * 64}"])
def test_missing_base_is_named(names: tuple[str, str], suffix: str) -> None:
    base, target = names
    with pytest.raises(BaseImageMissingError) as caught:
        ensure_image_now(ImageRequest(base + suffix, target, FILES, insecure=True))
    assert caught.value.subject == base + suffix
    assert caught.value.reason is Reason.BASE_IMAGE_MISSING
    assert "spec.image.base" in caught.value.fix
    assert not caught.value.transient


def test_concurrent_calls_converge(names: tuple[str, str]) -> None:
    base, target = names

    async def four() -> list[ImageResult]:
        return await asyncio.gather(*(ensure_image(make(base, target)) for _ in range(4)))

    with repository(base) as opened:
        push_base(opened, layers=6)
    results = asyncio.run(four())
    assert len({result.digest for result in results}) == 1
    assert sorted(result.cache_hit for result in results) == [False, True, True, True]
    pull(target, results[0].digest)


def test_uncoordinated_operators_converge(
    names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This registry refuses a manifest while another client writes it."""
    base, target = names
    monkeypatch.setattr("fedjob_operator.image.append.build_lock", contextlib.nullcontext)
    with repository(base) as opened:
        push_base(opened)
    for number in range(3):
        asked = make(base, target, files={"n": str(number).encode()})
        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(ensure_image_now, [asked] * 6))
        assert len({result.digest for result in results}) == 1
        pull(target, results[0].digest)


def test_interrupted_copy_starts_again(
    registry: RegistryServer, names: tuple[str, str], tmp_path: Path
) -> None:
    _, target = names
    with RegistryServer(tmp_path / "other") as other:
        with repository(f"{other.name}/base") as opened:
            push_base(opened, filler=3_000_000)
        with CuttingRelay(other.port, after=1_000_000) as relay:
            result = ensure_image_now(make(f"{relay.name}/base", target, base_insecure=True))
            assert relay.cuts == 1
        pull(target, result.digest)


@pytest.mark.parametrize("allowed", range(7))
def test_push_interrupted_anywhere_is_completed_by_the_next(
    registry: RegistryServer, names: tuple[str, str], allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the n-th write; n = 7 is the manifest."""
    base, target = names
    with repository(base) as opened:
        push_base(opened)
    monkeypatch.setattr("fedjob_operator.image.append._PARALLEL", 1)
    send = Repository._begin, Repository._finish, Repository.push_manifest
    left = allowed

    def cut(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for original in send:
            patch.setattr(Repository, original.__name__, cut(original))
        with pytest.raises(KeyboardInterrupt):
            ensure_image_now(make(base, target))
    with repository(target) as sink:
        listed = sink._connection.request(
            "GET", f"/v2/{sink.reference.repository}/tags/list", expect=(200, 404)
        )
        assert not listed.json().get("tags")  # an incomplete push leaves no image
    result = ensure_image_now(make(base, target))
    assert not result.cache_hit
    pull(target, result.digest)


def test_unreachable_registry_is_retried_then_named(tmp_path: Path) -> None:
    with RegistryServer(tmp_path / "r") as server:
        base, target = f"{server.name}/base", f"{server.name}/job"
        with repository(base) as opened:
            push_base(opened)
        server.stop()
        with pytest.raises(RegistryUnreachableError) as caught:
            ensure_image_now(make(base, target))
        assert caught.value.subject == server.name
        assert caught.value.reason is Reason.REGISTRY_UNREACHABLE
        assert caught.value.transient
        assert "refused" in str(caught.value)
        server.start()
        assert not ensure_image_now(make(base, target)).cache_hit


def test_read_only_registry_is_an_error_with_its_message(tmp_path: Path) -> None:
    with RegistryServer(tmp_path / "r") as server:
        base = f"{server.name}/base"
        with repository(base) as opened:
            push_base(opened)
        read_only = {"maintenance": {"readonly": {"enabled": True}}}
        config = json.loads((server.folder / "config.yml").read_text())
        config["storage"] |= read_only
        server.stop()
        (server.folder / "config.yml").write_text(json.dumps(config))
        server.start()
        with pytest.raises(ImageBuildFailedError, match="405 Method Not Allowed to POST"):
            ensure_image_now(make(base, f"{server.name}/job"))
