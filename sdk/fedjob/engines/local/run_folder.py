"""The names in a run's folder OUT; nothing else in fedjob spells them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fedjob.errors import Fault, InvalidInputError

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
        return self.out / "result.json"

    @property
    def model(self) -> Path:
        """model.safetensors: the final global model."""
        return self.out / "model.safetensors"

    @property
    def model_pt(self) -> Path:
        """GLOBAL_MODEL.pt: the same weights for `torch.load`."""
        return self.out / "GLOBAL_MODEL.pt"

    @property
    def report(self) -> Path:
        """report.html."""
        return self.out / "report.html"

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
        """What the run in this folder is: compared when it is run again."""
        return self.state / "run.json"

    @property
    def facts(self) -> Path:
        """What the report says of the job itself."""
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
        """What every process printed, one file each."""
        return self.state / "logs"

    def home(self, name: str) -> Path:
        """The only folder that the process `name` writes to."""
        return self.state / name

    def config(self, name: str) -> Path:
        """The file given to the process `name` as --config."""
        return self.state / "configs" / f"{name}.json"

    def url_file(self, worker: str) -> Path:
        """Holds the presigned URL of the worker's shard."""
        return self.state / "urls" / worker

    def log(self, name: str) -> Path:
        """What the process `name` printed."""
        return self.logs / f"{name}.log"
