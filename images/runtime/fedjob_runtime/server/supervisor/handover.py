"""The supervisor's side of the handover: it writes orders, and reads reports as hostile input.

The author's code can write anything to the folder of reports. So every part of a path is opened
without following links, only regular files are read, sizes are bounded, JSON is checked, and a
model is copied while its SHA-256 is taken: what is committed, published and started from is the
supervisor's own copy.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from fedjob.atomic_files import replacing
from fedjob.errors import FedjobError
from fedjob.protocol.commit import ClientFailure, Metrics, Participant, RoundTimes
from fedjob.protocol.result_files import MODEL, MODEL_PT
from fedjob.reasons import Reason
from fedjob.spec.models.base import Model
from fedjob_runtime.atomic_json import write_json
from fedjob_runtime.server.ipc import (
    CLIENTS,
    CONTROL,
    ROUND,
    ROUNDS,
    SEGMENT,
    STRATEGY,
    Control,
    Handover,
    SegmentReport,
)

MOST_JSON = 8 << 20
"""Bytes of a report: 256 workers with a message of 4,000 characters each have 6 MiB at most."""
MOST_MODEL = 64 << 30
"""Bytes of a model whose size is not known yet."""
SPARE = 16 << 20
"""Bytes that a model may have beyond twice the size of the round before."""
MOST_MESSAGE = 4000
"""Characters of a message that are shown."""
MOST_REASON = 64
_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OUTCOMES = frozenset({"", "complete", "stop", "short", "hung", "error", "broken"})


class HandoverInvalidError(FedjobError):
    """What the job process hands over cannot be used."""

    reason = Reason.HANDOVER_INVALID


class DiskFullError(FedjobError):
    """The supervisor's disk is full."""

    reason = Reason.NO_SPACE


class OfferedRound(Model):
    """A finished round that waits for its commit."""

    sha256: str
    strategy_sha256: str | None = None
    participants: list[Participant]
    failures: list[ClientFailure]
    metrics: Metrics
    times: RoundTimes
    started: str
    ended: str


class _Client(Model):
    incarnation: str
    last_heartbeat: float


_REPORT = TypeAdapter(SegmentReport)
_CLIENTS = TypeAdapter(dict[str, _Client])
_NAMES = TypeAdapter(list[str])
_REASON = TypeAdapter(Reason)
_LISTS = ("cells", "jobs", "ended")


class SupervisorHandover(Handover):
    """The two folders, as the supervisor uses them.

    Args:
        folder: Holds both.
        workers: Names of the job's workers: reports name no others.
        rounds: Rounds of the job.

    Attributes:
        last_round: The last round of the job.
    """

    def __init__(self, folder: Path, workers: Collection[str], rounds: int) -> None:
        super().__init__(folder)
        self._workers = frozenset(workers)
        self.last_round = rounds

    # Orders.

    def write_control(self, control: Control) -> None:
        """Writes what the job process is asked."""
        write_json(self.orders / CONTROL, asdict(control))

    def clear_orders(self) -> None:
        """Deletes the models of an earlier start, and makes the folder."""
        self.orders.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.orders / ROUNDS, ignore_errors=True)

    def share(self, file: Path) -> None:
        """Lets the federation's user read a file of the orders; downloads are private."""
        if file.exists():
            file.chmod(0o644)

    def own_torch_file(self, number: int) -> Path:
        """The supervisor's copy of the last model as torch.load reads it."""
        return self.start_model(number).with_name(MODEL_PT)

    def forget_models(self, before: int) -> None:
        """Deletes the supervisor's copies of the models of rounds before `before`."""
        for folder in list((self.orders / ROUNDS).glob("*")):
            if int(folder.name) < before:
                shutil.rmtree(folder, ignore_errors=True)

    # Reports. All raise HandoverInvalidError.

    def read_report(self, segment: int) -> SegmentReport | None:
        """The last report of the job process of `segment`; None before its first."""
        value = self._json(MOST_JSON, SEGMENT)
        if value is None or value.get("segment") != segment:
            return None
        try:
            report = _REPORT.validate_python(value)
            for fault in [*report.failed.values(), *([report.error] if report.error else [])]:
                # Of `failed` a worker chooses the reason: it must not cost the others their run.
                fault["reason"] = fault["reason"][:MOST_REASON]
                fault["message"] = fault["message"][:MOST_MESSAGE]
            if report.error:
                _ = _REASON.validate_python(report.error["reason"])
        except (ValidationError, ValueError, KeyError) as error:
            raise _invalid(SEGMENT, f"is not a report: {_first(error)}") from None
        if not {*report.answered, *report.failed} <= self._workers:
            raise _invalid(SEGMENT, "names a worker that the job does not have")
        if not 0 <= report.round <= self.last_round or report.outcome not in _OUTCOMES:
            raise _invalid(SEGMENT, f"reports round {report.round}, outcome {report.outcome!r:.40}")
        if report.outcome == "error" and not report.error:
            raise _invalid(SEGMENT, "reports an error without its message")
        return report

    def offered_round(self, number: int) -> OfferedRound | None:
        """A finished round that waits for its commit."""
        value = self._json(MOST_JSON, ROUNDS, str(number), ROUND)
        if value is None:
            return None
        try:
            return OfferedRound.model_validate(value)
        except ValidationError as error:
            raise _invalid(
                f"{ROUNDS}/{number}/{ROUND}", f"is not a round: {_first(error)}"
            ) from None

    def read_clients(self) -> dict[str, Any] | None:
        """What the client registry published; None before the parent is up."""
        value = self._json(MOST_JSON, CLIENTS)
        if value is None:
            return None
        try:
            clients = _CLIENTS.validate_python(value.get("clients"))
            lists = {key: _NAMES.validate_python(value.get(key)) for key in _LISTS}
        except ValidationError as error:
            raise _invalid(CLIENTS, f"is not a list of clients: {_first(error)}") from None
        if not all(math.isfinite(client.last_heartbeat) for client in clients.values()):
            raise _invalid(CLIENTS, "has a time that is not a number")
        return {"clients": {name: c.model_dump() for name, c in clients.items()}, **lists}

    def take_model(self, number: int, sha256: str) -> Path:
        """Copies an offered model, and returns the copy.

        Args:
            number: The round.
            sha256: What the job process says of it.

        Raises:
            HandoverInvalidError: It is missing, too large or has another checksum.
        """
        before = self.start_model(number - 1)
        known = number > 1 and before.exists()
        limit = 2 * before.stat().st_size + SPARE if known else MOST_MODEL
        target = self.start_model(number)
        found = self._copy(target, limit, ROUNDS, str(number), MODEL)
        if found != sha256:
            what = "has another SHA-256 than its round.json" if found else "is missing"
            raise _invalid(f"{ROUNDS}/{number}/{MODEL}", what)
        return target

    def take_strategy(self, number: int, sha256: str) -> Path:
        """Copies what the strategy keeps, after `take_model`, and returns the copy.

        Raises:
            HandoverInvalidError: It is missing, too large or has another checksum.
        """
        target = self.start_strategy(number)
        # Two float32 numbers for each parameter, which may have a byte only.
        limit = 8 * self.start_model(number).stat().st_size + SPARE
        found = self._copy(target, limit, ROUNDS, str(number), STRATEGY)
        if found != sha256:
            what = "has another SHA-256 than its round.json" if found else "is missing"
            raise _invalid(f"{ROUNDS}/{number}/{STRATEGY}", what)
        return target

    def take_torch_file(self, number: int) -> Path | None:
        """Copies the last model as torch.load reads it; None where there is none."""
        target = self.own_torch_file(number)
        limit = 2 * self.start_model(number).stat().st_size + SPARE
        found = self._copy(target, limit, ROUNDS, str(number), MODEL_PT)
        return target if found is not None else None

    # Files of others.

    def _json(self, limit: int, *names: str) -> dict[str, Any] | None:
        what = "/".join(names)
        with opened(self.reports, *names) as file:
            if file is None:
                return None
            data = b"".join(_chunks(file, limit, what))
        try:
            value = json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise _invalid(what, f"is not JSON: {str(error)[:200]}") from None
        if not isinstance(value, dict):
            raise _invalid(what, "is not a JSON object")
        return value

    def _copy(self, target: Path, limit: int, *names: str) -> str | None:
        """The SHA-256 of what was copied; None where there is no such file."""
        with opened(self.reports, *names) as file:
            if file is None:
                return None
            digest = hashlib.sha256()
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with replacing(target) as scratch, open(scratch, "wb") as copy:
                    for chunk in _chunks(file, limit, "/".join(names)):
                        digest.update(chunk)
                        copy.write(chunk)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise DiskFullError(
                    f"{target}: the server's disk is full; give it more (ephemeral storage of "
                    "spec.server.resources)"
                ) from None
            return digest.hexdigest()


@contextmanager
def opened(folder: Path, *names: str) -> Iterator[int | None]:
    """A descriptor of a regular file below `folder`; None where there is none.

    No part of the path below `folder` may be a link, and opening never waits.

    Args:
        folder: Trusted itself.
        names: Folders and a file, from there.

    Raises:
        HandoverInvalidError: It is something else, or cannot be opened.
    """
    what = "/".join(names)
    found: int | None = None
    try:
        descriptor = os.open(folder, _FLAGS | os.O_DIRECTORY)
        try:
            for name in names[:-1]:
                inner = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            # Without O_NONBLOCK opening a FIFO would wait for a writer.
            found = os.open(names[-1], _FLAGS | os.O_NONBLOCK, dir_fd=descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise _invalid(what, f"cannot be opened: {error.strerror}") from None
    if found is None:
        yield None
        return
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise _invalid(what, "is not a regular file")
        yield found
    finally:
        os.close(found)


def _chunks(file: int, limit: int, what: str) -> Iterator[bytes]:
    """The content, `limit` bytes at most, also of a file that grows meanwhile."""
    left = limit
    if os.fstat(file).st_size > limit:
        raise _invalid(what, f"has more than {limit} bytes")
    while chunk := os.read(file, _CHUNK):
        left -= len(chunk)
        if left < 0:
            raise _invalid(what, f"has more than {limit} bytes")
        yield chunk


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        return f"{where}: {fault['msg']}"[:200]
    return str(error)[:200]


def _invalid(what: str, problem: str) -> HandoverInvalidError:
    return HandoverInvalidError(
        f"{what}, which the server's job process handed over, {problem}; only fedjob writes there: "
        "remove what the model's code or a component writes to the server's handover folder"
    )
