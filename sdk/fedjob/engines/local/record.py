"""What identifies the run in a folder, so that only the same job is resumed there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from fedjob.atomic_files import write_text
from fedjob.errors import Fault, InvalidInputError
from fedjob.spec import FederatedJob
from fedjob.spec.models.base import Model

_FREE = (
    "spec.federation.numRounds",
    "spec.federation.waitTimeAfterMinReceived",
    "spec.federation.heartBeatTimeout",
    "spec.federation.roundTimeout",
    "spec.federation.stopWhen",
    "spec.federation.bestModel",
    "spec.image",
    "spec.model.checkpoint",
    "spec.model.source",
    "spec.runPolicy",
    "spec.server",
    "spec.shards",
    "spec.storage",
    "spec.workers",
)
"""Fields that do not change what is trained, or that files stand for."""


class RunRecord(Model):
    """OUT/.fedjob/run.json."""

    num_rounds: int = Field(ge=1)
    identity: dict[str, str] = Field(
        description="Every field that makes this job this job, with its value as JSON; the files "
        "by their SHA-256."
    )

    def write(self, path: Path) -> None:
        """Replace `path` in one step."""
        write_text(path, self.model_dump_json(by_alias=True, indent=2) + "\n")


def record_of(job: FederatedJob, files: Mapping[str, str | None]) -> RunRecord:
    """What identifies a run.

    Args:
        job: The resource.
        files: SHA-256 of what the job reads, by a name a person understands, such as `model file`,
            `checkpoint` or `shard shard-1.zip`; None for one that is not there.
    """
    spec = job.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    identity = {
        field: json.dumps(value, sort_keys=True)
        for field, value in _flatten("spec", spec)
        if not any(field == free or field.startswith(f"{free}.") for free in _FREE)
    }
    identity["metadata.name"] = json.dumps(job.metadata.name)
    identity["metadata.namespace"] = json.dumps(job.metadata.namespace)
    identity |= {name: digest for name, digest in files.items() if digest is not None}
    return RunRecord(num_rounds=job.spec.federation.num_rounds, identity=identity)


def check_same(old: RunRecord, new: RunRecord, folder: Path) -> None:
    """Refuse to resume another job than the one whose run the folder holds.

    Raises:
        InvalidInputError: One fault for each field or file that has changed, or fewer rounds.
    """
    fix = f"undo it, give another --out, or --fresh to delete {folder / '.fedjob'} and start over"
    faults = [
        Fault(field, _changed(field, old.identity.get(field), new.identity.get(field)), fix)
        for field in sorted(old.identity.keys() | new.identity.keys())
        if old.identity.get(field) != new.identity.get(field)
    ]
    if new.num_rounds < old.num_rounds:
        problem = f"is {new.num_rounds}, but the run in {folder} goes to {old.num_rounds}"
        faults.append(Fault("spec.federation.numRounds", problem, fix))
    if faults:
        raise InvalidInputError(faults)


def read_record(path: Path) -> RunRecord | None:
    """The record in a file; None when there is none.

    Raises:
        InvalidInputError: The file is there but is not a record.
    """
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise InvalidInputError(
            [
                Fault(
                    str(path),
                    "is not readable as the record of a run",
                    "give another --out, or --fresh to delete what is there and start over",
                )
            ]
        ) from error


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def _changed(field: str, old: str | None, new: str | None) -> str:
    if old is None:
        return "was not there when the run in this folder began"
    if new is None:
        return "was there when the run in this folder began"
    if field.startswith(("spec.", "metadata.")):
        return f"is {new}, but the run in this folder has {old}"
    return "is not the file that the run in this folder began with"
