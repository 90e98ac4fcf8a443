"""result.json: what a run came to, as scripts read it, and the files that come with it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

from pydantic import Field, PrivateAttr, ValidationError

from fedjob.atomic_files import write_text
from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.metric_text import number
from fedjob.protocol.commit import BestRound
from fedjob.protocol.history import RoundLine, round_lines
from fedjob.protocol.result_files import BEST_MODEL, MODEL, MODEL_PT, REPORT, RESULT
from fedjob.spec.models.base import Model
from fedjob.storage.checksum import sha256_of

__all__ = [
    "FILES",
    "BestModelFile",
    "FolderFiles",
    "ModelFile",
    "ResultFiles",
    "RoundLine",
    "RunResult",
    "RunState",
    "StateDict",
    "read_result",
    "round_lines",
]

StateDict: TypeAlias = dict[str, Any]
"""`torch.Tensor` by name; torch itself is imported by `RunResult.load` only."""
FILES = (MODEL, MODEL_PT, REPORT)
"""What `download` writes beside result.json."""


class ResultFiles(Protocol):
    """Where the files of a result are: a folder on this machine, or a job's prefix in S3."""

    def fetch(self, name: str, path: Path) -> bool:
        """Write one file of the result to `path`.

        Args:
            name: A name of `protocol.result_files`, such as `model.safetensors`.
            path: Where to; its folder exists.

        Returns:
            False where the run has no file of this name.

        Raises:
            UnavailableError: The place cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a result that were delivered into a folder on this machine.

    Attributes:
        folder: OUT of a local run, or one that `RunResult.download` has written.
    """

    folder: Path

    def fetch(self, name: str, path: Path) -> bool:
        """Copy one file of the result to `path`; False where the folder has none of this name."""
        source = self.folder / name
        if not source.is_file():
            return False
        if not (path.exists() and source.samefile(path)):
            shutil.copyfile(source, path)
        return True


class RunState(StrEnum):
    """How a run ended."""

    COMPLETE = "Complete"
    FAILED = "Failed"


class ModelFile(Model):
    """The final global model."""

    uri: str | None = Field(None, description="Where it is: file:// or s3://.")
    sha256: str
    size: int = Field(ge=0, description="Bytes.")


class BestModelFile(ModelFile):
    """The global model of the best round, by the metric of federation.stopWhen or bestModel."""

    round: int = Field(ge=1)
    metric: str
    value: float = Field(description="Of the metric, in this round.")

    @classmethod
    def of(cls, best: BestRound, uri: str | None = None) -> Self:
        """The file of a committed best round."""
        return cls(**best.model_dump(exclude={"mode"}), uri=uri)

    @property
    def text(self) -> str:
        """`round 4, val_loss 0.21`."""
        return f"round {self.round}, {self.metric} {number(self.value)}"


class RunResult(Model):
    """result.json."""

    name: str
    namespace: str
    state: RunState
    reason: str = Field("", description="From the catalogue of reasons, when the state is Failed.")
    message: str = ""
    rounds: list[RoundLine] = Field(default_factory=list)
    model: ModelFile | None = None
    best: BestModelFile | None = Field(
        None, description="The best round; of a run that failed, too."
    )
    stopped: int | None = Field(
        None, description="numRounds of a run that ended before it, by federation.stopWhen."
    )
    num_classes: int = Field(0, ge=0, description="As given, or inferred over all shards.")
    restarts: dict[str, int] = Field(default_factory=dict, description="By process.")
    seconds: float = Field(0.0, ge=0, description="Of this call, from its start to its end.")

    _files: ResultFiles | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        """Whether the fields are equal, wherever the files are."""
        return isinstance(other, RunResult) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # it holds lists

    def with_files(self, files: ResultFiles) -> RunResult:
        """The same result, whose `load` and `download` take the files from there."""
        copy = self.model_copy()
        copy._files = files
        return copy

    def load(self, *, best: bool = False) -> StateDict:
        """The final global model as a state dict, on the CPU.

        Args:
            best: The model of the best round instead.

        Returns:
            Tensor by name, with the shapes and dtypes of the model class: what
            `model.load_state_dict` takes.

        Raises:
            InvalidInputError: The run has no model, because it failed; or no best round, because
                its job compares none.
            UnavailableError: torch or safetensors is not installed, the file cannot be had, or is
                not the one whose SHA-256 the result names.
        """
        name, model = (BEST_MODEL, self.best) if best else (MODEL, self.model)
        if model is None:
            raise InvalidInputError([self._no_best() if best else self._no_model()])
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise UnavailableError(
                f"{error.name} is not installed, so the model cannot be loaded; "
                "pip install torch safetensors, or take the files with .download(DIR)"
            ) from error
        with tempfile.TemporaryDirectory(prefix="fedjob-") as folder:
            path = Path(folder) / name
            self._fetch(name, path)
            _check(path, model)
            # A copy, so that the tensors do not map a file that is deleted here.
            return {name: tensor.clone() for name, tensor in load_file(path).items()}

    def download(self, folder: str | Path) -> Path:
        """Write model.safetensors, GLOBAL_MODEL.pt, report.html and result.json.

        Where the job compares rounds, best_model.safetensors too.

        Args:
            folder: Made where it is missing; files of these names are replaced.

        Returns:
            The folder, absolute.

        Raises:
            UnavailableError: A file cannot be had, or the model is not the one whose SHA-256 the
                result names.
        """
        target = Path(folder).expanduser().resolve()
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fedjob-", dir=target) as scratch:
            for name in (*FILES, BEST_MODEL):
                path = Path(scratch) / name
                model = self.best if name == BEST_MODEL else self.model
                if name != REPORT and model is None:
                    continue
                if name == REPORT and self._files is not None:
                    if not self._files.fetch(name, path):
                        continue
                else:
                    self._fetch(name, path)
                if name in (MODEL, BEST_MODEL):
                    _check(path, model)
                path.replace(target / name)
        self.write(target / RESULT)
        return target

    def _fetch(self, name: str, path: Path) -> None:
        if self._files is None or not self._files.fetch(name, path):
            where = self.model.uri if self.model is not None and self.model.uri else self.name
            raise UnavailableError(
                f"{where}: the run's {name} is not there any more; run the job again"
            )

    def _no_model(self) -> Fault:
        why = f"{self.reason}: {self.message}" if self.reason else "the run has not completed"
        return Fault(f"run {self.name}", f"has no model ({why})", "mend that and run it again")

    def _no_best(self) -> Fault:
        fix = "add federation.stopWhen or federation.bestModel to the job, with a metric it returns"
        return Fault(f"run {self.name}", "has no best round", fix)

    def write(self, path: Path) -> None:
        """Replace `path` by this result in one step."""
        write_text(path, self.text() + "\n")

    def text(self) -> str:
        """The JSON text, indented."""
        return self.model_dump_json(by_alias=True, indent=2)


def _check(path: Path, model: ModelFile | None) -> None:
    if model is not None and sha256_of(path) != model.sha256:
        raise UnavailableError(
            f"{model.uri or path.name}: the file is not the model of this run (SHA-256 "
            f"{model.sha256}); it was changed or cut off: fetch it again, or run again"
        )


def read_result(path: Path) -> RunResult | None:
    """The result in a file; None when there is none, or it is not one of ours."""
    try:
        return RunResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
