"""What a run was submitted with, kept in its folder, so that any process can resume it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from fedjob.atomic_files import write_text
from fedjob.engines.local.run_folder import RunFolder
from fedjob.errors import Fault, InvalidInputError
from fedjob.preparation.prepared import LocalShard, PreparedRun
from fedjob.spec import FederatedJob
from fedjob.spec.models.base import Model
from fedjob.storage.checksum import sha256_of
from fedjob.workspace.job_folder import read_job_folder
from fedjob.workspace.requirements.lines import parse_requirement


class _Shard(Model):
    name: str
    path: Path
    samples: int | None
    sha256: str

    @classmethod
    def of(cls, shard: LocalShard) -> _Shard:
        return cls(
            name=shard.name,
            path=shard.path.absolute(),
            samples=shard.samples,
            sha256=shard.sha256,
        )

    def shard(self) -> LocalShard:
        return LocalShard(self.name, self.path, self.samples, self.sha256)


class Submission(Model):
    """OUT/.fedjob/submission.json: a `PreparedRun` without the job folder, which lies beside it."""

    job: FederatedJob
    num_classes: int
    shards: list[_Shard]
    validation: _Shard | None = None
    checkpoint: Path | None = None
    digests: dict[str, str | None] = Field(default_factory=dict)
    requirements: list[str] = Field(default_factory=list)
    python_path: list[Path] = Field(default_factory=list)


def keep_submission(folder: RunFolder, prepared: PreparedRun) -> None:
    """Keep what `kept_submission` reads; the job folder is written already."""
    checkpoint = prepared.checkpoint
    submission = Submission(
        job=prepared.job,
        num_classes=prepared.num_classes,
        shards=[_Shard.of(shard) for shard in prepared.shards],
        validation=None if prepared.validation is None else _Shard.of(prepared.validation),
        checkpoint=None if checkpoint is None else checkpoint.absolute(),
        digests=dict(prepared.digests),
        requirements=[line.text for line in prepared.requirements],
        python_path=list(prepared.python_path),
    )
    write_text(folder.submission, submission.model_dump_json(by_alias=True) + "\n")


def kept_submission(folder: RunFolder) -> PreparedRun:
    """The run as it was submitted, its files checked again.

    Raises:
        InvalidInputError: The folder holds no run that can be resumed, or a shard or the checkpoint
            is not there any more, or is another file now.
    """
    try:
        kept = Submission.model_validate_json(folder.submission.read_bytes())
    except (OSError, ValidationError) as error:
        problem, fix = "has no run that can be resumed", "submit the job again with its shards"
        raise InvalidInputError([Fault(str(folder.out), problem, fix)]) from error
    faults = list(_changed_files(kept))
    if faults:
        raise InvalidInputError(faults)
    return PreparedRun(
        job=kept.job,
        num_classes=kept.num_classes,
        shards=tuple(shard.shard() for shard in kept.shards),
        validation=None if kept.validation is None else kept.validation.shard(),
        checkpoint=kept.checkpoint,
        job_files=read_job_folder(folder.job),
        digests=kept.digests,
        requirements=tuple(
            parse_requirement(line, "spec.model.requirements") for line in kept.requirements
        ),
        python_path=tuple(kept.python_path),
    )


def _changed_files(kept: Submission) -> Iterator[Fault]:
    files = {shard.path: shard.sha256 for shard in kept.shards}
    if kept.validation is not None:
        files[kept.validation.path] = kept.validation.sha256
    digest = kept.digests.get("checkpoint")
    if kept.checkpoint is not None and digest is not None:
        files[kept.checkpoint] = digest
    for path, sha256 in files.items():
        if not path.is_file():
            yield Fault(str(path), "is not there any more", "bring it back, then resume")
        elif sha256_of(path) != sha256:
            problem = "is not the file that the run began with"
            yield Fault(str(path), problem, "bring that one back, then resume")
