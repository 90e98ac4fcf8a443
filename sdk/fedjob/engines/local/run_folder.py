"""The names in a run's folder OUT; nothing else in fedjob spells them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.result_files import BEST_MODEL, MODEL, MODEL_PT, REPORT, RESULT

_UNUSABLE = {
    os.pathsep: f"a {os.pathsep!r}, which separates the folders of PYTHONPATH",
    "\\": "a backslash, which NVFlare turns into a slash",
    "\n": "a line break, which logs and commands cannot show",
}
"""What a path of a run cannot have: characters that a program we start cannot take as they are."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """OUT: the results a person takes, and `.fedjob/` with what the run itself needs.

    Attributes:
        out: The folder, absolute.
    """

    out: Path

    @classmethod
    def at(cls, out: Path) -> RunFolder:
        """The folder at `out`, made absolute; nothing is created.

        Raises:
            InvalidInputError: Its path has a character with which a run would not work.
        """
        path = out.expanduser().resolve()
        found = [name for part, name in _UNUSABLE.items() if part in str(path)]
        if any("\ud800" <= character <= "\udfff" for character in str(path)):
            found.append("bytes that are not UTF-8")
        if found:
            fix = "give another folder with --out, one whose path has none"
            raise InvalidInputError([Fault(repr(str(path)), f"has {' and '.join(found)}", fix)])
        return cls(path)

    @property
    def result(self) -> Path:
        """result.json."""
        return self.out / RESULT

    @property
    def model(self) -> Path:
        """model.safetensors: the final global model."""
        return self.out / MODEL

    @property
    def model_pt(self) -> Path:
        """GLOBAL_MODEL.pt: the same weights for `torch.load`."""
        return self.out / MODEL_PT

    @property
    def best_model(self) -> Path:
        """The model of the best round, where the job compares rounds."""
        return self.out / BEST_MODEL

    @property
    def report(self) -> Path:
        """report.html."""
        return self.out / REPORT

    @property
    def state(self) -> Path:
        """Everything that is not a result; `--fresh` deletes it."""
        return self.out / ".fedjob"

    @property
    def lock(self) -> Path:
        """Held (flock) by the process that runs here."""
        return self.state / "lock"

    @property
    def record(self) -> Path:
        """The identity of the run: compared when the job is run again."""
        return self.state / "run.json"

    @property
    def submission(self) -> Path:
        """What the run was submitted with: read when it is resumed by name."""
        return self.state / "submission.json"

    @property
    def facts(self) -> Path:
        """The job as the report shows it."""
        return self.state / "facts.json"

    @property
    def commits(self) -> Path:
        """One file a committed round: copies of the store's, for the report."""
        return self.state / "commits"

    @property
    def live(self) -> Path:
        """Where the server of the run under way answers; only there while it runs."""
        return self.state / "live.json"

    @property
    def store(self) -> Path:
        """The embedded store's data."""
        return self.state / "store"

    @property
    def job(self) -> Path:
        """The generated job folder."""
        return self.state / "job"

    @property
    def kits(self) -> Path:
        """One NVFlare startup kit per site."""
        return self.state / "kits"

    @property
    def logs(self) -> Path:
        """The output of every process, one file each."""
        return self.state / "logs"

    def home(self, name: str) -> Path:
        """The only folder that the process `name` writes to."""
        return self.state / name

    @property
    def server_status(self) -> Path:
        """The status that the server wrote at its end."""
        return self.home("server") / "status.json"

    def worker_state(self, name: str) -> Path:
        """What the worker `name` reported of itself."""
        return self.home(name) / "worker.json"

    def config(self, name: str) -> Path:
        """The file given to the process `name` as --config."""
        return self.state / "configs" / f"{name}.json"

    def url_file(self, worker: str) -> Path:
        """Holds the presigned URL of the worker's shard."""
        return self.state / "urls" / worker

    def kept_files(self, worker: str) -> Path:
        """What the worker's training function left, round by round (spec.workers.keepFiles)."""
        return self.out / "files" / worker

    def log(self, name: str) -> Path:
        """The output of the process `name`."""
        return self.logs / f"{name}.log"
