"""A job as Python users hold it: the resource, and the files that it does not hold itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import PrivateAttr

from fedjob.client.python_names import in_python, python_names
from fedjob.errors import Fault, InvalidInputError
from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.model_files import read_local_model
from fedjob.preparation.prepare import check_code, prepare
from fedjob.preparation.prepared import LocalFiles, PreparedRun
from fedjob.preparation.shipped_files import shipped
from fedjob.spec.models import job as resource
from fedjob.spec.validation.parse import parse_job
from fedjob.workspace.job_folder import JOB_FILE, write_job_folder


@dataclass(frozen=True, slots=True)
class JobCheck:
    """What `FederatedJob.validate` has found in a job that can run.

    Attributes:
        hints: Probable mistakes that do not stop the job.
        num_classes: As given, or inferred over all shards; 0: neither.
        workers: File name of the shard by worker; empty where no shards were checked.
        samples: Samples by worker; None where only the training function can count them.

    Examples:
        >>> check = job.validate(shards="shards/")
        >>> check.workers
        {'worker-0': 'site-a.zip', 'worker-1': 'site-b.zip'}
        >>> check.hints
        ()
    """

    hints: tuple[str, ...] = ()
    num_classes: int = 0
    workers: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, int | None] = field(default_factory=dict)


class FederatedJob(resource.FederatedJob):
    """One federated training run, as data: the resource that `kubectl apply` takes.

    `from_model` makes one from a class, `from_yaml` and `read` from a job file. It is frozen; a
    changed copy is `job.model_copy(update=...)`. Nothing runs until a client submits it.

    Examples:
        >>> job = fedjob.from_model(Net, name="digits")
        >>> job.metadata.name, job.spec.federation.num_rounds
        ('digits', 5)
        >>> print(job.to_yaml())
        apiVersion: fedjob.dev/v1alpha1
        kind: FederatedJob
        metadata:
          name: digits
        ...
    """

    _attached: dict[str, bytes] = PrivateAttr(default_factory=dict)
    _checkpoint: Path | None = PrivateAttr(None)
    _base: Path = PrivateAttr(Path())

    def __eq__(self, other: object) -> bool:
        """Whether both are the same job, wherever their files were read."""
        return (
            isinstance(other, resource.FederatedJob)
            and (self.metadata, self.spec) == (other.metadata, other.spec)
            and self._attached == getattr(other, "_attached", {})
            and self._checkpoint == getattr(other, "_checkpoint", None)
        )

    __hash__ = None  # type: ignore[assignment]  # it holds lists

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "job.yaml") -> FederatedJob:
        """The job of a YAML or JSON text.

        Args:
            text: One FederatedJob; a `status` in it is ignored.
            source: What to call the text in faults.

        Raises:
            InvalidJobError: Every fault, in the order of the text.

        Examples:
            >>> FederatedJob.from_yaml(job.to_yaml()) == job
            True
        """
        return cls.of(parse_job(text, source))

    @classmethod
    def read(cls, path: str | Path, *, model_file: str | Path | None = None) -> FederatedJob:
        """The job of a file, with its model file.

        Args:
            path: YAML or JSON; shards are looked for in `shards/` beside it by default.
            model_file: model_def.py, a notebook, or a folder of code, in place of what
                spec.model.source names.

        Raises:
            InvalidJobError: Every fault of the job file, or the model file cannot be read.

        Examples:
            >>> FederatedJob.read("job.yaml", model_file="model/").spec.model.class_name
            'Net'
        """
        file = Path(path).expanduser()
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = getattr(error, "strerror", None) or "is not UTF-8 text"
            fix = "give the path of a FederatedJob as YAML or JSON"
            raise InvalidInputError([Fault(str(file), problem, fix)]) from error
        job = cls.of(parse_job(text, str(file)))
        job._base = file.parent
        return job if model_file is None else job.with_model_file(model_file)

    @classmethod
    def of(cls, job: resource.FederatedJob) -> FederatedJob:
        """The same job with the methods of this class; without status.

        Examples:
            >>> FederatedJob.of(job) == job
            True
        """
        if isinstance(job, cls):
            return job
        return cls(metadata=job.metadata, spec=job.spec)

    def with_model_file(self, model_file: str | Path) -> FederatedJob:
        """The job with another model file, and the modules beside it that it imports.

        Args:
            model_file: model_def.py, a notebook, or a folder of code.

        Raises:
            InvalidJobError: It cannot be read.

        Examples:
            >>> job.with_model_file("model_def.py").spec.model.source.inline[:12]
            'import torch'
        """
        files = self.local_files(model_file=Path(model_file).expanduser())
        faults = FaultList()
        with python_names():
            shards = files.shards or files.base / "shards"
            model = read_local_model(self, files, faults, shards)
            faults.check()
        if model is None:
            raise AssertionError("unreachable: a model that is None comes with a fault")
        return self.with_code(model.source.text, model.files)

    def with_code(self, text: str, files: Mapping[str, bytes]) -> FederatedJob:
        """The job with another model file, given as text.

        Args:
            text: model_def.py.
            files: All files beside it: content by path relative to it.

        Examples:
            >>> job.with_code("x = 1", {"names.txt": b"a"}).spec.model.files[0].path
            'names.txt'
        """
        found = shipped(files)
        source = self.spec.model.source.model_copy(
            update={"inline": text, "uri": None, "config_map_ref": None, "upload": None}
        )
        upload = self.spec.model.upload
        if upload is not None:
            upload = upload.model_copy(update={"files": []})
        parts = {"source": source, "files": found.inline, "upload": upload}
        changed = self.spec.model.model_copy(update=parts)
        job = self.model_copy(update={"spec": self.spec.model_copy(update={"model": changed})})
        job._attached = found.attached
        return job

    def to_yaml(self) -> str:
        """YAML for `kubectl apply`: the fields that differ from the defaults, without status.

        Raises:
            InvalidJobError: The job has files that YAML cannot hold, such as binary ones, or a
                checkpoint on this machine: only a client can submit them.

        Examples:
            >>> print(job.to_yaml())
            apiVersion: fedjob.dev/v1alpha1
            kind: FederatedJob
            ...
        """
        fix = "submit it with a client, or write it to a folder with build(DIR)"
        faults = [
            Fault(f"files: {path}", "is binary or too large for YAML", fix)
            for path in self._attached
        ]
        if self._checkpoint is not None:
            problem = f"{self._checkpoint} is on this machine, which YAML cannot hold"
            faults.append(Fault("checkpoint", problem, f"{fix}; or give s3://bucket/key"))
        if faults:
            raise InvalidInputError(faults)
        return super().to_yaml()

    def validate(  # type: ignore[override]  # pydantic's own has been deprecated since 2.0
        self, shards: str | Path | None = None, *, checkpoint: str | Path | None = None
    ) -> JobCheck:
        """Check the job, its model and its shards, without running anything.

        Args:
            shards: Folder of the shard ZIPs; None checks the job and its model only.
            checkpoint: First weights on this machine, in place of the job's.

        Raises:
            InvalidJobError: Every fault of the job, its model and its shards, each with a fix.

        Examples:
            >>> job.validate(shards="shards/").num_classes
            2
            >>> job.validate(shards="elsewhere/")
            Traceback (most recent call last):
            fedjob.errors.InvalidInputError: shards: elsewhere is not a folder; ...
        """
        if shards is None:
            with python_names():
                hints = check_code(self, self.local_files(checkpoint=checkpoint))
            return JobCheck(hints=tuple(map(in_python, hints)))
        prepared = self.prepared(shards, checkpoint=checkpoint)
        return JobCheck(
            hints=tuple(map(in_python, prepared.hints)),
            num_classes=prepared.num_classes,
            workers={name: shard.name for name, shard in prepared.workers.items()},
            samples={name: shard.samples for name, shard in prepared.workers.items()},
        )

    def build(
        self,
        folder: str | Path,
        *,
        shards: str | Path | None = None,
        checkpoint: str | Path | None = None,
    ) -> Path:
        """Write the NVFlare job folder, to inspect it; nothing is uploaded and nothing runs.

        Args:
            folder: A new or empty folder, or an older job folder, which is replaced.
            shards: Folder of the shard ZIPs: they say how many workers and classes there are.
            checkpoint: First weights on this machine, in place of the job's.

        Returns:
            The folder, absolute: app/custom, app/config, meta.json, requirements.txt and job.yaml,
            which `Client.upload` takes.

        Raises:
            InvalidJobError: Every fault of the job, its model and its shards; or the folder holds
                something else.

        Examples:
            >>> folder = job.build("job/", shards="shards/")
            >>> sorted(path.name for path in folder.iterdir())
            ['app', 'job.yaml', 'meta.json', 'requirements.txt']
        """
        prepared = self.prepared(shards, checkpoint=checkpoint)
        text = resource.FederatedJob.to_yaml(self)
        return write_job_folder({**prepared.job_files, JOB_FILE: text.encode()}, folder)

    def prepared(
        self, shards: str | Path | None = None, *, checkpoint: str | Path | None = None
    ) -> PreparedRun:
        """The job as engines take it, checked.

        Args:
            shards: Folder of the shard ZIPs; None: `shards/` beside the job's file.
            checkpoint: First weights on this machine, in place of the job's.

        Raises:
            InvalidJobError: Every fault of the job, its model and its shards, each with a fix.

        Examples:
            >>> sorted(job.prepared("shards/").workers)
            ['worker-0', 'worker-1']
        """
        with python_names():
            return prepare(self, self.local_files(shards, checkpoint=checkpoint))

    @property
    def attached(self) -> Mapping[str, bytes]:
        """Files beside model_def.py that the resource cannot hold: content by path.

        Examples:
            >>> job.attached
            {}
        """
        return self._attached

    def local_files(
        self,
        shards: str | Path | None = None,
        *,
        checkpoint: str | Path | None = None,
        model_file: Path | None = None,
    ) -> LocalFiles:
        """The files on this machine that go with the job, as `fedjob.preparation` takes them.

        Examples:
            >>> job.local_files("shards/").shards
            PosixPath('shards')
        """
        return LocalFiles(
            base=self._base,
            shards=None if shards is None else Path(shards).expanduser(),
            model_file=model_file,
            checkpoint=self._checkpoint if checkpoint is None else Path(checkpoint).expanduser(),
            attached=self._attached if model_file is None else {},
        )
