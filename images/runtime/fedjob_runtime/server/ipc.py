"""Files between the supervisor and the job process of the segment under way.

Two folders, one a direction; each side writes to its own only:

    orders/     supervisor → job process
        control.json                  {segment, committed, lost: [..], stop_after_round}
        rounds/<n>/model.safetensors  the committed model that a segment starts from
        checkpoint.*, validation/     inputs of the job
    reports/    job process and NVFlare → supervisor
        segment.json                  SegmentReport
        rounds/<n>/                   model.safetensors, then round.json: to be committed
        clients.json                  who is connected
        agent.sock                    the agent's socket, see `orders`

The supervisor trusts nothing in reports/ and reads it by `supervisor.handover` only. A job process
whose segment is not the one in control.json has been superseded and ends itself.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fedjob.protocol.result_files import MODEL, MODEL_PT
from fedjob_runtime.atomic_json import read_json, write_json

ROUNDS = "rounds"
CONTROL = "control.json"
SEGMENT = "segment.json"
ROUND = "round.json"
CLIENTS = "clients.json"
VALIDATION = "validation"
STRATEGY = "strategy.safetensors"
"""In a round's folder: what the strategy keeps for the next one, where it keeps anything."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the supervisor asks of the job process.

    Attributes:
        segment: The segment that may work.
        committed: The last round that is durable in the store; -1 before round 0.
        lost: Members whose connection is lost: no answer is awaited from them.
        stop_after_round: End the segment when the round under way is done (a worker came back).
    """

    segment: int
    committed: int = -1
    lost: tuple[str, ...] = ()
    stop_after_round: bool = False


@dataclass(slots=True)
class SegmentReport:
    """What the job process reports: where it is, and why it ended.

    Attributes:
        segment: Its number.
        phase: `started`, `training`, `validating` or `ended`.
        round: The round under way, as its commit will be numbered.
        answered: Samples by worker, of results accepted in this round.
        failed: {reason, message} by worker, in this round.
        outcome: Why it ended: `complete`, `stop`, `short` (below min_clients), `hung` (a worker did
            not answer within roundTimeout and needs a fresh process), `error` (it would come back
            in every segment), `broken` (an error that may pass).
        error: {reason, message} of an `error` or `broken`.
        time: Seconds since the epoch.
    """

    segment: int
    phase: str = "started"
    round: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    outcome: str = ""
    error: dict[str, str] = field(default_factory=dict)
    time: float = 0.0


class Handover:
    """The two folders, as the job process uses them.

    Args:
        folder: Holds both.

    Attributes:
        orders: What the supervisor writes.
        reports: What the supervisor reads.
    """

    def __init__(self, folder: Path) -> None:
        self.orders = folder / "orders"
        self.reports = folder / "reports"

    def start_model(self, number: int) -> Path:
        """The committed model after `number` rounds, from which a segment may start."""
        return self.orders / ROUNDS / str(number) / MODEL

    def model_file(self, number: int) -> Path:
        """The global model after `number` rounds, as this job process made it."""
        return self._round(number) / MODEL

    def start_strategy(self, number: int) -> Path:
        """What the strategy kept after `number` rounds; exists where it keeps anything."""
        return self.start_model(number).with_name(STRATEGY)

    def strategy_file(self, number: int) -> Path:
        """The same, as this job process made it."""
        return self._round(number) / STRATEGY

    def torch_file(self, number: int) -> Path:
        """The same model as torch.load reads it; of the last round only."""
        return self._round(number) / MODEL_PT

    def checkpoint(self) -> Path | None:
        """The file of the initial weights, where the job has one."""
        return next(iter(sorted(self.orders.glob("checkpoint.*"))), None)

    def validation(self) -> Path:
        """The validation shard, unpacked; exists where the job has one."""
        return self.orders / VALIDATION

    def read_control(self) -> Control | None:
        """What the supervisor asked last; None before its first segment."""
        value = read_json(self.orders / CONTROL)
        if value is None:
            return None
        return Control(**{**value, "lost": tuple(value["lost"])})

    def report(self, report: SegmentReport) -> None:
        """Writes the job process's report."""
        report.time = time.time()
        write_json(self.reports / SEGMENT, asdict(report))

    def offer_round(self, number: int, facts: dict[str, Any]) -> None:
        """Hands a finished round over; its model file is complete already."""
        made = (self.model_file(number), self.strategy_file(number), self.torch_file(number))
        for file in made:
            if file.exists():
                # safetensors makes files that only their owner reads; the supervisor is another.
                file.chmod(0o644)
        write_json(self._round(number) / ROUND, facts)

    def drop_before(self, number: int) -> None:
        """Deletes the files of rounds before `number`, which are committed."""
        for each, folder in self._round_folders():
            if each < number:
                shutil.rmtree(folder, ignore_errors=True)

    def drop_uncommitted(self, committed: int) -> None:
        """Deletes what a superseded segment may have left half-written after `committed`."""
        for number, folder in self._round_folders():
            if number > committed:
                shutil.rmtree(folder, ignore_errors=True)

    def clear_reports(self) -> None:
        """Deletes what was reported to an earlier server start: it may be incomplete."""
        shutil.rmtree(self.reports / ROUNDS, ignore_errors=True)
        for name in (SEGMENT, CLIENTS):
            (self.reports / name).unlink(missing_ok=True)

    def _round(self, number: int) -> Path:
        return self.reports / ROUNDS / str(number)

    def _round_folders(self) -> Iterator[tuple[int, Path]]:
        for folder in list((self.reports / ROUNDS).glob("*")):
            with contextlib.suppress(ValueError):
                yield int(folder.name), folder
