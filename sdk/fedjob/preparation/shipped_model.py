"""How a model travels to a cluster: text in the resource, and everything else as uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.model_files import OPTION, LocalModel
from fedjob.preparation.shipped_files import MOST_INLINE, shipped
from fedjob.protocol.transfer import MODEL_SOURCE, checkpoint_path, model_file_path
from fedjob.spec import FederatedJob
from fedjob.spec.models.model import MAX_TEXT
from fedjob.spec.models.upload import MAX_MODEL_FILES
from fedjob.storage.checksum import sha256_of

MAX_SOURCE = 262144
"""Characters of an inline model file, as the schema has it."""


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """A model on its way to a cluster.

    Attributes:
        fields: `spec.model`.
        files: What is uploaded, by path below the job's prefix in the store.
    """

    fields: dict[str, Any]
    files: dict[str, Path | bytes] = field(default_factory=dict)


def shipped_model(
    job: FederatedJob, model: LocalModel | None, checkpoint: Path | None, faults: FaultList
) -> ShippedModel:
    """`spec.model` with the files of this machine in it.

    Args:
        job: The job; what it names elsewhere, and is not replaced, stays.
        model: Model file and neighbours of this machine; None: those of the job stay.
        checkpoint: First weights of this machine, a file that exists; None: those of the job stay.
        faults: Gets what does not fit.
    """
    fields = job.spec.model.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude_none=True
    )
    upload: dict[str, Any] = fields.pop("upload", {})
    files: dict[str, Path | bytes] = {}
    if model is not None:
        fields["source"] = _source(model, files)
        _add_files(fields, upload, model.files, files)
    if checkpoint is not None:
        fields.pop("checkpoint", None)
        size, digest = checkpoint.stat().st_size, sha256_of(checkpoint)
        upload["checkpoint"] = {"suffix": checkpoint.suffix, "sha256": digest, "size": size}
        files[checkpoint_path(checkpoint.suffix)] = checkpoint
    if len(upload.get("files", ())) > MAX_MODEL_FILES:
        problem = f"{len(upload['files'])} files do not fit into the job, which names 1,000"
        faults.add(OPTION, problem, "put them into a ZIP in S3 and name it in spec.model.files")
    if upload:
        fields["upload"] = upload
    return ShippedModel(fields, files)


def _source(model: LocalModel, files: dict[str, Path | bytes]) -> dict[str, Any]:
    if len(model.source.text) <= MAX_SOURCE:
        return {"inline": model.source.text}
    files[MODEL_SOURCE] = model.source.content
    return {"upload": _announced(model.source.content)}


def _add_files(
    fields: dict[str, Any],
    upload: dict[str, Any],
    content: Mapping[str, bytes],
    files: dict[str, Path | bytes],
) -> None:
    """Adds the files beside model_def.py: to the resource, or to what is uploaded."""
    others = [item for item in fields.pop("files", []) if item["path"] not in content]
    # Text among the others is in `content`, so they take items and no characters.
    found = shipped(content, MAX_TEXT, MOST_INLINE - len(others))
    inline = [{"path": item.path, "text": item.text} for item in found.inline]
    if others or inline:
        fields["files"] = [*others, *inline]
    sent = [item for item in upload.pop("files", []) if item["path"] not in content]
    for path, data in sorted(found.attached.items()):
        sent.append({"path": path, **_announced(data)})
        files[model_file_path(path)] = data
    if sent:
        upload["files"] = sent


def _announced(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
