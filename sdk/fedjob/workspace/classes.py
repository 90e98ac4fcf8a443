"""How many classes a job has, over all of its shards (CONTRACT rows 21 and 22)."""

from __future__ import annotations

from collections.abc import Sequence

from fedjob.errors import Fault, InvalidInputError
from fedjob.workspace.shard.manifest import ManifestSummary

FIELD = "spec.training.numClasses"


def infer_num_classes(summaries: Sequence[ManifestSummary]) -> int:
    """The largest label of all shards plus one (row 21).

    Raises:
        InvalidInputError: No sample of any shard has a label.
    """
    largest = max((summary.max_label for summary in summaries), default=-1)
    if largest < 0:
        problem = "is 0 and cannot be inferred: no sample of any shard has a label"
        raise InvalidInputError([Fault(FIELD, problem, "write the number of classes")])
    return largest + 1


def check_num_classes(given: int, summaries: Sequence[ManifestSummary]) -> None:
    """Refuses fewer classes than the labels need (row 22).

    Raises:
        InvalidInputError: One fault a shard, with the line and the id of its largest label.
    """
    needed = max((summary.max_label for summary in summaries), default=-1) + 1
    faults = [
        Fault(
            FIELD,
            f"is {given}, but {summary.where} line {summary.max_label_line} "
            f"(id {summary.max_label_id!r}) has label {summary.max_label}",
            f"write numClasses: {needed}, or 0 to infer it",
        )
        for summary in summaries
        if summary.max_label >= given
    ]
    if faults:
        raise InvalidInputError(faults)


def resolve_num_classes(given: int, summaries: Sequence[ManifestSummary]) -> int:
    """`given` once it is checked; where it is 0, the inferred number.

    Raises:
        InvalidInputError: See `infer_num_classes` and `check_num_classes`.
    """
    if given == 0:
        return infer_num_classes(summaries)
    check_num_classes(given, summaries)
    return given
