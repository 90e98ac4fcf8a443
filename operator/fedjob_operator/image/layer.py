"""The job folder as one layer: the same files always give the same bytes."""

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
"""The job folder in the image, without the leading slash, as tar entries are named."""
_WHITEOUT = ".wh."


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, ready to be pushed.

    Attributes:
        data: tar, compressed with gzip.
        digest: Of `data`: what the manifest names.
        diff_id: Of the tar inside: what the config names.
    """

    data: bytes = field(repr=False)
    digest: str
    diff_id: str


def sha256_digest(data: bytes) -> str:
    """`sha256:` and the hash in hexadecimal, as the OCI image specification writes digests."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make_layer(files: Mapping[str, bytes]) -> Layer:
    """Packs a job folder: no clock, no user, no order but the names'.

    Args:
        files: Content by path in the job folder, such as `app/custom/model_def.py`.

    Raises:
        ImageRequestInvalidError: There are no files, or a path leaves the folder, is both file and
            folder, or would delete a file of the base image.
    """
    raw = make_tar(files, JOB_FOLDER)
    data = gzip.compress(raw, compresslevel=6, mtime=0)
    return Layer(data, sha256_digest(data), sha256_digest(raw))


def make_tar(files: Mapping[str, bytes], root: str) -> bytes:
    """Packs files below `root` (which may be empty), folders first, see `make_layer`."""
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
        # A name of the form .wh.x in a layer deletes x of the layers below it.
        hidden = any(part.startswith(_WHITEOUT) for part in parts)
        if str(PurePosixPath(path)) != path or path.startswith("/") or ".." in parts or hidden:
            raise ImageRequestInvalidError(
                f"job folder: {path!r}",
                "it is no path inside the job folder",
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
