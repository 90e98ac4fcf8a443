"""How many classes a job has, over all of its shards (CONTRACT rows 21 and 22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.workspace.shard.manifest import ManifestSummary
from fedjob.workspace.source.model_file import SourceInfo

FIELD = "spec.training.numClasses"

ClassCount = Literal["required", "optional", "unused"]
"""Whether the number of classes must be known, may be known, or is asked for by nobody."""


class NumClassesError(InvalidInputError):
    """The number of classes is below what the labels need, or nothing tells it."""

    reason = Reason.NUM_CLASSES_TOO_SMALL


def class_count(info: SourceInfo, args: Mapping[str, Any], *, generated: bool) -> ClassCount:
    """Who asks for the number of classes.

    Args:
        info: The model file.
        args: `model.args`; one that sets `num_classes` itself leaves nothing to infer.
        generated: The training loop is the generated one, which needs it for its labels.
    """
    constructor = info.constructor
    if generated:
        return "required"
    if "num_classes" in args or (constructor.visible and not info.accepts_num_classes):
        return "unused"
    return "required" if "num_classes" in constructor.required else "optional"


def infer_num_classes(summaries: Sequence[ManifestSummary]) -> int:
    """The largest label of all shards plus one (row 21).

    Raises:
        NumClassesError: No sample of any shard has a label.
    """
    largest = max((summary.max_label for summary in summaries), default=-1)
    if largest < 0:
        problem = "is 0 and cannot be inferred: no sample of any shard has a label"
        raise NumClassesError([Fault(FIELD, problem, "write the number of classes")])
    return largest + 1


def check_num_classes(given: int, summaries: Sequence[ManifestSummary]) -> None:
    """Refuses fewer classes than the labels need (row 22).

    Raises:
        NumClassesError: One fault a shard, with the line and the id of its largest label.
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
        raise NumClassesError(faults)


def resolve_num_classes(
    given: int, summaries: Sequence[ManifestSummary | None], count: ClassCount = "required"
) -> int:
    """`given` once it is checked; where it is 0, the inferred number.

    Args:
        given: `training.numClasses`.
        summaries: Of every shard; None for one without a manifest that can be used.
        count: Who asks for it. `optional` and `unused`: it stays 0 where the manifests do not tell,
            so that the constructor's own default stands.

    Raises:
        NumClassesError: See `infer_num_classes` and `check_num_classes`.
    """
    known = [summary for summary in summaries if summary is not None]
    if given > 0:
        check_num_classes(given, known)
        return given
    if count == "unused" or any(summary.targets for summary in known):
        return 0
    complete = len(known) == len(summaries)
    if count == "optional":
        # Only class 0 everywhere is a placeholder: the author's code has labels of its own.
        largest = max((summary.max_label for summary in known), default=-1)
        return infer_num_classes(known) if complete and largest > 0 else 0
    if not complete:
        problem = "is 0 and cannot be inferred: not every shard has a manifest that can be used"
        raise NumClassesError([Fault(FIELD, problem, "write the number of classes")])
    return infer_num_classes(known)
