"""Packs the job folder as one layer; equal files give equal bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.resources import pod_contract

JOB_FOLDER = pod_contract.JOB_FOLDER.removeprefix("/")
"""Path of the job folder in the image, without the leading slash, as in tar entries."""
_WHITEOUT = ".wh."


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, ready to be pushed.

    Attributes:
        data: The tar, compressed with gzip.
        digest: Digest of `data`, for the manifest.
        diff_id: Digest of the uncompressed tar, for the config.
    """

    data: bytes = field(repr=False)
    digest: str
    diff_id: str


def sha256_digest(data: bytes) -> str:
    """The SHA-256 digest in the OCI image specification's form: `sha256:` and hexadecimal."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make_layer(files: Mapping[str, bytes]) -> Layer:
    """Packs a job folder, independent of clock, user and the order of `files`.

    Args:
        files: Content by path in the job folder, such as `app/custom/model_def.py`.

    Raises:
        ImageRequestInvalidError: There are no files, or a path is outside the folder, is both a
            file and a folder, or would delete a file of the base image.
    """
    raw = make_tar(files, JOB_FOLDER)
    data = gzip.compress(raw, compresslevel=6, mtime=0)
    return Layer(data=data, digest=sha256_digest(data), diff_id=sha256_digest(raw))


def make_tar(files: Mapping[str, bytes], root: str) -> bytes:
    """Packs files below `root` (which may be empty), sorted by name; see `make_layer`."""
    folders = _folders_of(files, root)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders | {_below(root, path) for path in files}):
            info = tarfile.TarInfo(name)
            if name in folders:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                content = files[name.removeprefix(f"{root}/") if root else name]
                info.size, info.mode = len(content), 0o644
                tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _folders_of(files: Mapping[str, bytes], root: str) -> set[str]:
    if not files:
        raise ImageRequestInvalidError("job folder", "it has no files", "render the job first")
    folders = {root} if root else set()
    for path in files:
        parts = PurePosixPath(path).parts
        # In a layer, a file named .wh.x deletes x of the layers below.
        hidden = any(part.startswith(_WHITEOUT) for part in parts)
        if str(PurePosixPath(path)) != path or path.startswith("/") or ".." in parts or hidden:
            raise ImageRequestInvalidError(
                f"job folder: {path!r}",
                "it is not a path inside the job folder",
                "use a relative path without '..', '//' and names that begin with '.wh.'",
            )
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                folders.add(_below(root, str(parent)))
    both = sorted(path for path in files if _below(root, path) in folders)
    if both:
        raise ImageRequestInvalidError(
            f"job folder: {both[0]!r}", "it is a file and a folder", "rename one of them"
        )
    return folders


def _below(root: str, path: str) -> str:
    return f"{root}/{path}" if root else path
