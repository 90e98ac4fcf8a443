"""Builder `docker` against a real daemon and a real registry, with packages."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pip
import pytest

from fedjob.engines.local.store.ports import Ports
from fedjob.reasons import Reason
from fedjob_operator.image.build_context import LAYER_LABEL
from fedjob_operator.image.builder import ImageRequest, ensure_image_now
from fedjob_operator.image.errors import ImageBuildFailedError
from fedjob_operator.image.layer import make_layer
from integration.container_images.test_image_servers import RegistryServer

WHEEL = "fedjob_probe-1.0-py3-none-any.whl"
PROBE = (f"fedjob-probe @ file:///wheels/{WHEEL}",)
FILES = {"meta.json": b'{"name": "probe"}', "app/custom/model_def.py": b"x = 1\n"}
VENV = "opt/fedjob/venv"


def docker(*arguments: str, given: bytes | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def daemon() -> None:
    found = shutil.which("docker") is not None and (
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )
    if not found and os.environ.get("CI") == "true":
        pytest.fail("no Docker daemon answers: tests/cluster/docker.sh starts one")
    if not found:
        pytest.skip("no Docker daemon answers")


@pytest.fixture(scope="module")
def registry(daemon: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """With a base in it that has a Python, pip in fedjob's venv and a wheel."""
    with RegistryServer(tmp_path_factory.mktemp("docker") / "r") as server:
        base = f"{server.name}/base:1"
        docker("import", "-c", "USER 10001:10001", "-", base, given=root_file_system())
        docker("push", "-q", base)
        yield server
        lowest = "{{index .RootFS.Layers 0}}"
        ours = docker("image", "inspect", "-f", lowest, base)
        label = f"label={LAYER_LABEL}={make_layer(FILES).digest}"
        images = docker("images", "-q", "--filter", label).split()
        images += docker("images", "-aq", "--filter", "dangling=true").split()
        for image in [*dict.fromkeys(images), base]:  # a failed build leaves its first steps
            found = subprocess.run(
                ["docker", "image", "inspect", "-f", lowest, image],
                capture_output=True,
                check=False,
            )
            if found.stdout.decode().strip() == ours:
                subprocess.run(["docker", "rmi", "-f", image], capture_output=True, check=False)


def root_file_system() -> bytes:
    """This Python with its standard library and pip, a shell, and what they are linked to."""
    program, shell = Path(sys.executable).resolve(), Path("/bin/sh").resolve()
    library = Path(sysconfig.get_path("stdlib"))
    unwanted = {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip"}
    unwanted |= {"__pycache__", "lib2to3", "turtledemo"}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:

        def keep(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
            parts = set(Path(info.name).parts)
            static = info.name.endswith(".a") or any(part.startswith("config-") for part in parts)
            return None if static or parts & unwanted else info

        def text(name: str, content: str, mode: int = 0o644) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content.encode()))

        def link(name: str, to: str) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, to
            tar.addfile(info)

        tar.add(library, filter=keep)
        extensions = [str(path) for path in (library / "lib-dynload").glob("*.so")]
        needed = subprocess.run(
            ["ldd", str(program), str(shell), *extensions], capture_output=True, check=True
        ).stdout.decode()
        linked = {word for word in needed.split() if word.startswith("/") and word[-1] != ":"}
        for path in sorted({str(program)} | linked):
            tar.add(Path(path).resolve(), arcname=path)
        tar.add(shell, arcname="bin/sh")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        package = Path(pip.__file__).parent
        unwanted.clear()  # pip has a folder of any name
        unwanted.add("__pycache__")
        tar.add(package, arcname=f"{VENV}/lib/{version}/site-packages/pip", filter=keep)
        text(f"{VENV}/pyvenv.cfg", f"home = {program.parent}\n")
        link(f"{VENV}/bin/python", str(program))
        start = "from pip._internal.cli.main import main\nraise SystemExit(main())\n"
        text(f"{VENV}/bin/pip", f"#!/{VENV}/bin/python\n{start}", 0o755)
        text("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        text("etc/machine-id", f"{uuid.uuid4().hex}\n")  # a layer of this run alone: see registry()
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, stat.S_ISVTX | 0o777
        tar.addfile(tmp)
        wheel = probe_wheel()
        info = tarfile.TarInfo(f"wheels/{WHEEL}")
        info.size = len(wheel)
        tar.addfile(info, io.BytesIO(wheel))
    return stream.getvalue()


def probe_wheel() -> bytes:
    """A package of one module, so that the build needs no package index."""
    stream = io.BytesIO()
    about = "fedjob_probe-1.0.dist-info"
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("fedjob_probe.py", "ANSWER = 42\n")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: fedjob-probe\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return stream.getvalue()


def make(registry: RegistryServer, target: str, **over: Any) -> ImageRequest:
    given: dict[str, Any] = {"files": FILES, "requirements": PROBE, "builder": "docker"}
    return ImageRequest(
        f"{registry.name}/base:1", f"{registry.name}/{target}", insecure=True, **(given | over)
    )


def test_packages_and_job_are_in_the_image_and_it_is_found_again(registry: RegistryServer) -> None:
    asked = make(registry, "jobs/built")
    first = ensure_image_now(asked)
    assert not first.cache_hit
    program = (
        "import os, fedjob_probe; print(fedjob_probe.ANSWER, os.getuid(), os.getgid(), "
        "open('/opt/fedjob/job/meta.json').read())"
    )
    output = docker("run", "--rm", first.reference, f"/{VENV}/bin/python", "-c", program)
    assert output == '42 10001 10001 {"name": "probe"}'

    before = len(registry.requests())
    second = ensure_image_now(asked)
    assert (second.cache_hit, second.digest) == (True, first.digest)
    assert {method for method, *_ in registry.requests()[before:]} == {"GET"}


def test_a_daemon_runs_what_was_appended(registry: RegistryServer) -> None:
    result = ensure_image_now(make(registry, "jobs/appended", requirements=(), builder="append"))
    program = (
        "import os; print(os.getuid(), open('/opt/fedjob/job/app/custom/model_def.py').read())"
    )
    output = docker("run", "--rm", result.reference, f"/{VENV}/bin/python", "-c", program)
    docker("rmi", result.reference)
    assert output == "10001 x = 1"


def test_two_at_once_build_once(registry: RegistryServer) -> None:
    asked = make(registry, "jobs/twice", requirements=())
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(ensure_image_now, [asked, asked]))
    assert sorted(result.cache_hit for result in results) == [False, True]
    assert len({result.digest for result in results}) == 1


def test_a_tag_is_not_trusted_whatever_its_labels_are(registry: RegistryServer) -> None:
    """Others who may push put an image with our base and our labels under our tag."""
    asked = make(registry, "jobs/forged", requirements=())
    good = ensure_image_now(asked)
    (tag,) = [
        path.rpartition("/")[2]
        for method, path, _ in registry.requests()
        if method == "PUT" and "/jobs/forged/manifests/" in path
    ]
    forged = f"{registry.name}/jobs/forged:{tag}"
    recipe = f"FROM {good.reference}\nENV EVIL=1\n"
    docker("build", "-q", "-t", forged, "-", given=recipe.encode())
    docker("push", "-q", forged)
    digests = docker("image", "inspect", "-f", '{{join .RepoDigests " "}}', forged)
    docker("rmi", forged)
    # The operator that built it knows the digest, and one that did not builds again.
    again = ensure_image_now(asked)
    assert (again.cache_hit, again.digest) == (True, good.digest)
    fresh = ensure_image_now(make(registry, "jobs/forged", requirements=()))
    assert not fresh.cache_hit
    assert fresh.digest not in digests


def test_a_failed_install_ends_with_pip_s_own_words(registry: RegistryServer) -> None:
    asked = make(registry, "jobs/failed", requirements=("absent @ file:///wheels/absent.whl",))
    with pytest.raises(ImageBuildFailedError) as caught:
        ensure_image_now(asked)
    assert caught.value.reason is Reason.IMAGE_BUILD_FAILED
    assert "spec.model.requirements" in caught.value.fix
    # pip's last line, whose text differs between versions of pip.
    last = str(caught.value).splitlines()[-1]
    assert last.startswith("ERROR: ")
    assert "wheel filename" in last


def test_missing_daemon_is_reported(
    registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ports() as ports:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{ports.take()}")
        with pytest.raises(ImageBuildFailedError, match="no daemon answers") as caught:
            ensure_image_now(make(registry, "jobs/none"))
    assert "DOCKER_HOST" in caught.value.fix


def test_password_of_the_package_index_never_reaches_an_image(
    registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.test/simple https://me:hidden@b.test/")
    with pytest.raises(ImageBuildFailedError, match="PIP_EXTRA_INDEX_URL") as caught:
        ensure_image_now(make(registry, "jobs/hidden"))
    assert "me:hidden" not in str(caught.value)
