"""Which shards of a job need a manifest, and what their manifests must agree on.

fedjob reads samples by a manifest in two places: the generated training loop (form C) and the
built-in evaluation. Everywhere else the author's code reads the shard, and any ZIP will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedjob.errors import Fault
from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.classes import class_count
from fedjob.workspace.shard.manifest import ManifestSummary
from fedjob.workspace.source.model_file import SourceInfo

ONE_STYLE = 'write y the same way in every shard: "y": 3 for one class, "y": [0, 3] for several'


@dataclass(frozen=True, slots=True)
class ManifestUse:
    """Whose shards fedjob itself reads.

    Attributes:
        training: The workers' shards, by the generated training loop.
        validation: The validation shard, by the built-in evaluation.
        generated: The training loop is the generated one.
        classes: The workers' manifests are needed to infer the number of classes, which the model
            must know.
    """

    training: bool
    validation: bool
    generated: bool
    classes: bool = False

    def reads(self, name: str, validation: str | None) -> bool:
        """Whether fedjob reads the samples of shard `name`.

        Args:
            name: A shard's file name.
            validation: That of the validation shard.
        """
        return self.validation if name == validation else self.training

    def needed_for(self, name: str, validation: str | None) -> bool:
        """Whether the shard `name` needs a manifest; see `reads`."""
        return self.reads(name, validation) or (self.classes and name != validation)


NO_MANIFEST = ManifestUse(training=False, validation=False, generated=False)
"""Nobody but the author's code reads the shards."""


def manifest_use(job: FederatedJob, info: SourceInfo) -> ManifestUse:
    """Where fedjob reads the samples of this job."""
    generated = info.form == "C" and job.spec.components.executor is None
    count = class_count(info, job.spec.model.args, generated=generated)
    classes = count == "required" and job.spec.training.num_classes == 0
    if job.spec.components.executor is not None:
        # The author's executor reads the shards itself, and nothing is evaluated with it.
        return ManifestUse(training=False, validation=False, generated=False, classes=classes)
    evaluates = job.spec.shards.validation is not None and not info.has_validate
    return ManifestUse(
        training=generated, validation=evaluates, generated=generated, classes=classes
    )


def for_classes(
    names: Sequence[str], manifests: Sequence[ManifestSummary | None], validation: str | None
) -> list[ManifestSummary | None]:
    """The manifests that the number of classes is inferred over: a validation shard may lack one.

    Args:
        names: The shards' file names.
        manifests: Theirs, in the same order.
        validation: The file name of the validation shard.
    """
    pairs = zip(names, manifests, strict=True)
    return [found for name, found in pairs if found is not None or name != validation]


def style_faults(summaries: Sequence[ManifestSummary]) -> Iterator[Fault]:
    """The shards whose labels are written in different ways, so that metrics do not compare.

    Args:
        summaries: The manifests that fedjob reads; each agrees with itself.
    """
    styles: dict[str, ManifestSummary] = {}
    for summary in summaries:
        styles.setdefault(_style(summary), summary)
    if len(styles) < 2:
        return
    shown = "; ".join(f"{summary.where}: {style}" for style, summary in sorted(styles.items()))
    yield Fault("spec.shards", f"labels are written in different ways ({shown})", ONE_STYLE)


def _style(summary: ManifestSummary) -> str:
    if summary.targets:
        plural = "s" if summary.targets > 1 else ""
        return f"{summary.targets} float{plural}"
    return "lists of classes" if summary.multi_label else "class numbers"
