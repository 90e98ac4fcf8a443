"""The Dockerfile and the build context of a job with packages."""

from __future__ import annotations

import io
import tarfile

import pytest

from fedjob.reasons import Reason
from fedjob_operator.image.build_context import make_context, render_dockerfile
from fedjob_operator.image.errors import ImageRequestInvalidError

BASE = f"r.test/base@sha256:{'a' * 64}"


def steps(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_packages_are_installed_as_root_before_the_job_is_copied() -> None:
    lines = steps(render_dockerfile(BASE, "sha256:1", ["numpy"]))
    instructions = [line.split()[0] for line in lines]
    assert instructions == ["FROM", "USER", "ARG", "COPY", "RUN", "COPY", "LABEL", "USER"]
    assert lines[0] == f"FROM {BASE}"
    assert lines[1] == "USER 0:0"
    assert "/opt/fedjob/venv/bin/pip install" in lines[4]
    assert lines[5].endswith("job/ /opt/fedjob/job/")
    assert lines[-1] == "USER 10001:10001"


def test_without_packages_nothing_runs_as_root() -> None:
    lines = steps(render_dockerfile(BASE, "sha256:1", []))
    assert [line.split()[0] for line in lines] == ["FROM", "COPY", "LABEL", "USER"]


def test_requirements_never_enter_the_dockerfile() -> None:
    assert "evil" not in render_dockerfile(BASE, "sha256:1", ["evil; python_version > '3'"])


@pytest.mark.parametrize("line", ["", "  ", "-r /etc/shadow", " --index-url=x", "a\nb", "a\r-r x"])
def test_options_and_several_lines_are_refused_as_requirements(line: str) -> None:
    with pytest.raises(ImageRequestInvalidError, match=r"spec\.model\.requirements\[1\]") as caught:
        render_dockerfile(BASE, "sha256:1", ["numpy", line])
    assert caught.value.reason is Reason.SPEC_INVALID


def test_context_contains_dockerfile_requirements_and_job() -> None:
    packed = make_context("FROM x\n", {"app/a.py": b"1"}, ["b", "a"])
    assert packed == make_context("FROM x\n", {"app/a.py": b"1"}, ["b", "a"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        content = {m.name: (tar.extractfile(m) or io.BytesIO()).read() for m in tar if m.isfile()}
    assert content == {
        "Dockerfile": b"FROM x\n",
        "requirements.txt": b"b\na\n",
        "job/app/a.py": b"1",
    }


def test_wheels_of_the_model_are_there_before_packages_are_installed() -> None:
    """Issue 15, item 6: a local wheel is a requirement like any other."""
    name = "w/tiny-1.0-py3-none-any.whl"
    lines = [f"./{name} --hash=sha256:{'0' * 64}", "numpy"]
    dockerfile = render_dockerfile("base@sha256:" + "0" * 64, "sha256:1", lines)
    steps = dockerfile.splitlines()
    copied = steps.index("COPY wheels/ /opt/fedjob/wheels/")
    assert copied < next(i for i, step in enumerate(steps) if step.startswith("RUN"))
    context = make_context(dockerfile, {f"app/custom/{name}": b"wheel"}, lines)
    with tarfile.open(fileobj=io.BytesIO(context)) as tar:
        read = {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]
    assert read[f"wheels/{name}"] == read[f"job/app/custom/{name}"] == b"wheel"
    assert read["requirements.txt"].decode() == (
        f"/opt/fedjob/wheels/{name} --hash=sha256:{'0' * 64}\nnumpy\n"
    )
    assert "COPY wheels/" not in render_dockerfile("base", "sha256:1", ["numpy"])
