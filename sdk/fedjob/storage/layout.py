"""The key of every object of a job; no key is spelled anywhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fedjob.errors import Fault, InvalidInputError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Layout:
    """`[<prefix>/]jobs/<namespace>/<name>/` and what lies under it.

    Round and attempt numbers are written without padding, as people say them; readers parse them as
    integers, so the order of a listing does not matter.

    Attributes:
        namespace: DNS label.
        name: DNS label.
        prefix: Put before `jobs/`; a trailing slash makes no difference.

    Raises:
        InvalidInputError: All faults of the three at once.
    """

    namespace: str
    name: str
    prefix: str = ""

    def __post_init__(self) -> None:
        faults = [
            Fault(
                field,
                f"{value!r} is not a DNS label",
                "use 1-63 of a-z, 0-9 and -, not at the ends",
            )
            for field, value in (
                ("metadata.namespace", self.namespace),
                ("metadata.name", self.name),
            )
            if not _LABEL.fullmatch(value)
        ]
        problem = _path_problem(self.prefix.removesuffix("/")) if self.prefix else None
        if problem is not None:
            faults.append(
                Fault("spec.storage.prefix", f"{self.prefix!r} {problem}", "write it like team/a")
            )
        if faults:
            raise InvalidInputError(faults)

    @property
    def root(self) -> str:
        """Everything of the job; ends with a slash, as all prefixes here do."""
        return f"{self.namespace_root}{self.name}/"

    @property
    def namespace_root(self) -> str:
        """Everything of all jobs of the namespace."""
        return f"{jobs_root(self.prefix)}{self.namespace}/"

    @property
    def scripts(self) -> str:
        """The job folder's code: app/custom."""
        return f"{self.root}scripts/"

    @property
    def configs(self) -> str:
        """The job folder's app/config and meta.json."""
        return f"{self.root}configs/"

    @property
    def requirements(self) -> str:
        """requirements.txt."""
        return f"{self.root}requirements/"

    @property
    def shards(self) -> str:
        """The shard ZIPs."""
        return f"{self.root}shards/"

    @property
    def model(self) -> str:
        """The initial weights, where the user gave some."""
        return f"{self.root}model/"

    @property
    def model_out(self) -> str:
        """The result: model.safetensors, GLOBAL_MODEL.pt, report.html."""
        return f"{self.root}model_out/"

    @property
    def files_out(self) -> str:
        """Other files of the run, such as logs."""
        return f"{self.root}files_out/"

    @property
    def logs(self) -> str:
        """The log of each start of the server and of each worker's pod."""
        return f"{self.files_out}logs/"

    @property
    def rounds(self) -> str:
        """The log of committed rounds."""
        return f"{self.root}rounds/"

    @property
    def attempts(self) -> str:
        """The server starts."""
        return f"{self.root}attempts/"

    def shard(self, file: str) -> str:
        """The key of a shard, by its file name."""
        return self.under(self.shards, file)

    def checkpoint(self, suffix: str) -> str:
        """The key of the initial weights; the suffix (`.pt`) decides how they are read."""
        return self.under(self.model, f"checkpoint{suffix}")

    def site_log(self, site: str, start: int) -> str:
        """The log of one start: the server's by its attempt, a worker's by its pod's number."""
        return self.under(self.logs, f"{site}/{_number(start)}.log")

    def kept_files(self, worker: str, round_number: int) -> str:
        """What a worker's training function left in one round, as a ZIP."""
        return self.under(self.files_out, f"files/{worker}/round-{_number(round_number)}.zip")

    def result(self, file: str) -> str:
        """The key of a result, by its name in `fedjob.protocol.result_files`."""
        return self.under(self.model_out, file)

    def round(self, number: int) -> str:
        """The prefix of one round."""
        return f"{self.rounds}{_number(number)}/"

    def commit(self, number: int) -> str:
        """The commit object of one round: the round is done exactly when it exists."""
        return f"{self.round(number)}commit.json"

    def round_file(self, number: int, file: str) -> str:
        """A file of one round, by the name its commit gives."""
        return self.under(self.round(number), file)

    def round_model_name(self, sha256: str) -> str:
        """The file name of a round's model: by its content.

        Two servers that commit the same round at once never write to the same key, unless they
        write the same bytes; so the loser cannot overwrite the model that the winner's commit
        names.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256 in hex")
        return f"model-{sha256[:16]}.safetensors"

    def round_strategy_name(self, sha256: str) -> str:
        """The file name of what a round's strategy keeps: by its content, as its model's."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256 in hex")
        return f"strategy-{sha256[:16]}.safetensors"

    @property
    def owner(self) -> str:
        """The record of the job that the prefix belongs to."""
        return f"{self.attempts}owner.json"

    def attempt(self, number: int) -> str:
        """The object that fences server starts before this one."""
        return f"{self.attempts}{_number(number)}.json"

    def under(self, prefix: str, path: str) -> str:
        """The key of a relative path under one of the prefixes.

        Raises:
            InvalidInputError: When the path would leave the prefix or is not a plain path.
        """
        problem = _path_problem(path)
        if problem is not None:
            raise InvalidInputError(
                [
                    Fault(
                        prefix,
                        f"{path!r} {problem}",
                        "use a relative path of plain names, without . or .. or backslash",
                    )
                ]
            )
        return prefix + path

    def committed_round(self, key: str) -> int | None:
        """The round whose commit object this key is; None for any other key."""
        found = re.fullmatch(re.escape(self.rounds) + r"(0|[1-9][0-9]{0,8})/commit\.json", key)
        return int(found[1]) if found else None

    def attempt_number(self, key: str) -> int | None:
        """The attempt whose object this key is; None for any other key."""
        found = re.fullmatch(re.escape(self.attempts) + r"(0|[1-9][0-9]{0,8})\.json", key)
        return int(found[1]) if found else None


def jobs_root(prefix: str) -> str:
    """Everything of all jobs of a store."""
    return f"{prefix.removesuffix('/')}/jobs/" if prefix else "jobs/"


def layout_of_key(prefix: str, key: str) -> Layout | None:
    """The job that an object belongs to; None for an object of none."""
    namespace, _, rest = key.removeprefix(jobs_root(prefix)).partition("/")
    name, slash, _ = rest.partition("/")
    if not key.startswith(jobs_root(prefix)) or not slash:
        return None
    try:
        return Layout(namespace, name, prefix)
    except InvalidInputError:
        return None


def _number(number: int) -> int:
    if number < 0:
        raise ValueError(f"rounds and attempts are counted from 0, not {number}")
    return number


def _path_problem(path: str) -> str | None:
    if len(path.encode("utf-8", "surrogatepass")) > 700:  # S3 allows 1,024 bytes for the whole key
        return "is longer than 700 bytes"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "has control characters"
    if any("\ud800" <= character <= "\udfff" for character in path):
        return "is not valid Unicode"
    if "\\" in path:
        return "has a backslash"
    if any(segment in {"", ".", ".."} for segment in path.split("/")):
        return "has an empty, . or .. segment"
    return None
