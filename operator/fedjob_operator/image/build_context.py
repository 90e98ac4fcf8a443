"""The build context for the Docker daemon: Dockerfile, requirements and job folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import jinja2

from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.layer import JOB_FOLDER, make_tar

LAYER_LABEL = "dev.fedjob.layer"
"""Label of a built image: the digest that the job folder would have as a layer."""
WHEEL_FOLDER = "/opt/fedjob/wheels/"
"""Where wheels of the model's files lie while pip installs them."""
_PIP = "/opt/fedjob/venv/bin/pip"
_USER = "10001:10001"
"""The user of images/runtime: the build needs root for pip, the job must not have it."""


def render_dockerfile(base: str, layer_digest: str, requirements: Iterable[str]) -> str:
    """Renders the Dockerfile.

    Args:
        base: `registry/repository@digest`.
        layer_digest: The job folder's layer digest, for the label.
        requirements: PEP 508 requirements, one per item; may be empty.

    Raises:
        ImageRequestInvalidError: A requirement is a pip option, empty or several lines.
    """
    lines = list(requirements)
    for number, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("-") or len(line.splitlines()) != 1:
            raise ImageRequestInvalidError(
                f"spec.model.requirements[{number}]",
                f"{line!r} is not a requirement",
                "write one package per item, such as 'scikit-learn==1.7.2'",
            )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fedjob_operator.image", ""),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (a Dockerfile, not HTML)
    )
    return environment.get_template("Dockerfile.j2").render(
        base=base,
        layer_digest=layer_digest,
        label=LAYER_LABEL,
        requirements=lines,
        wheels=any(line.startswith("./") for line in lines),
        wheel_folder=WHEEL_FOLDER,
        pip=_PIP,
        folder=JOB_FOLDER,
        user=_USER,
    )


def make_context(dockerfile: str, files: Mapping[str, bytes], requirements: Iterable[str]) -> bytes:
    """Packs the build context as a tar; equal inputs give equal bytes, for Docker's cache.

    A requirement `./x.whl` is a wheel of the job folder: it is there before the packages are
    installed.
    """
    wheels: dict[str, bytes] = {}
    lines = []
    for line in requirements:
        path, space, rest = line.partition(" ")
        if path.startswith("./"):
            name = path.removeprefix("./")
            wheels[f"wheels/{name}"] = files[f"app/custom/{name}"]
            path = f"{WHEEL_FOLDER}{name}"
        lines.append(f"{path}{space}{rest}\n")
    return make_tar(
        {
            "Dockerfile": dockerfile.encode(),
            "requirements.txt": "".join(lines).encode(),
            **wheels,
            **{f"job/{path}": content for path, content in files.items()},
        },
        "",
    )
