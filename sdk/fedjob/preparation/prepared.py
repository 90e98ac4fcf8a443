"""A job that has passed every check that can be made before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedjob.spec import FederatedJob
from fedjob.workspace.requirements.lines import RequirementLine


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Files on this machine in place of those that the resource names.

    Attributes:
        base: Folder of the resource's file; shards are looked for in its `shards/` by default.
        shards: Folder of the shard ZIPs.
        model_file: model_def.py, a notebook, or a folder of code with the model file in it.
        checkpoint: The first weights.
        attached: Files beside model_def.py that the resource does not hold, because they are not
            text or too large for it: content by path relative to model_def.py.
    """

    base: Path = Path()
    shards: Path | None = None
    model_file: Path | None = None
    checkpoint: Path | None = None
    attached: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class LocalShard:
    """One shard ZIP.

    Attributes:
        name: Its file name.
        path: Where it is.
        samples: Lines of its manifest; None where fedjob knows no manifest in it.
        sha256: Of the file, hex.
    """

    name: str
    path: Path
    samples: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A checked job, ready for an engine.

    Attributes:
        job: The resource.
        num_classes: As given, or inferred over all shards.
        shards: The workers' shards: worker-<i> gets the i-th.
        validation: The shard that no worker gets, if any.
        checkpoint: The first weights, if any.
        job_files: The generated job folder: relative path to bytes.
        digests: SHA-256 of every file that the job reads, by its name in messages.
        hints: Probable mistakes that do not stop the run; `fedjob validate` and `run` print them.
        requirements: What pip must have installed for the model.
        python_path: Folders that the job's processes import from, before installed packages.
    """

    job: FederatedJob
    num_classes: int
    shards: tuple[LocalShard, ...]
    validation: LocalShard | None
    checkpoint: Path | None
    job_files: Mapping[str, bytes]
    digests: Mapping[str, str | None] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    requirements: tuple[RequirementLine, ...] = ()
    python_path: tuple[Path, ...] = ()

    @property
    def workers(self) -> dict[str, LocalShard]:
        """Shard by worker name, by the shards' file name sort (row 37)."""
        return {f"worker-{number}": shard for number, shard in enumerate(self.shards)}
