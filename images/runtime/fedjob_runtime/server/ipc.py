"""Files between the supervisor and the job process of the segment under way.

    control.json        supervisor → job process: {segment, committed, lost: [..], stop_after_round}
    segment.json        job process → supervisor: SegmentReport
    rounds/<n>/         job process → supervisor: model.safetensors, then round.json; the supervisor
                        commits them. supervisor → job process: the model a segment starts from

A job process whose segment is not the one in control.json has been superseded and ends itself.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fedjob.protocol.result_files import MODEL, MODEL_PT
from fedjob_runtime.atomic_json import read_json, write_json


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
    """The folder of these files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def round_folder(self, number: int) -> Path:
        """The folder of round `number`: model.safetensors and round.json."""
        return self._folder / "rounds" / str(number)

    def round_folders(self) -> list[tuple[int, Path]]:
        """(number, folder) of every round that has one."""
        return [(int(folder.name), folder) for folder in (self._folder / "rounds").glob("*")]

    def model_file(self, number: int) -> Path:
        """The global model after `number` rounds."""
        return self.round_folder(number) / MODEL

    def torch_file(self, number: int) -> Path:
        """The same model as torch.load reads it; of the last round only."""
        return self.round_folder(number) / MODEL_PT

    def write_control(self, control: Control) -> None:
        """Writes what the job process is asked."""
        write_json(self._folder / "control.json", asdict(control))

    def read_control(self) -> Control | None:
        """What the supervisor asked last; None before its first segment."""
        value = read_json(self._folder / "control.json")
        if value is None:
            return None
        return Control(**{**value, "lost": tuple(value["lost"])})

    def report(self, report: SegmentReport) -> None:
        """Writes the job process's report."""
        report.time = time.time()
        write_json(self._folder / "segment.json", asdict(report))

    def read_report(self, segment: int) -> SegmentReport | None:
        """The last report of the job process of `segment`; None before its first."""
        value = read_json(self._folder / "segment.json")
        if value is None or value["segment"] != segment:
            return None
        return SegmentReport(**value)

    def offer_round(self, number: int, facts: dict[str, Any]) -> None:
        """Hands a finished round over; its model file is complete already."""
        write_json(self.round_folder(number) / "round.json", facts)

    def offered_round(self, number: int) -> dict[str, Any] | None:
        """A finished round that waits for its commit."""
        return read_json(self.round_folder(number) / "round.json")
