"""`spec.federation.stopWhen` and `bestModel`: which round's model is best, and when to stop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedjob.spec.models.base import Model

Mode = Literal["min", "max"]
Threshold = Annotated[float, Field(ge=-1e15, le=1e15)]
MetricName = Annotated[str, Field(min_length=1, max_length=128)]


class BestModel(Model):
    """A metric of the committed rounds, and its better direction."""

    metric: MetricName = Field(description="As the rounds have it, such as `val_accuracy`.")
    mode: Mode = Field(description="`max`: the largest value is the best; `min`: the smallest.")


class StopWhen(Model):
    """When the run ends before numRounds; the best round by the metric is kept, too."""

    metric: MetricName = Field(description="As the rounds have it, such as `val_loss`.")
    mode: Mode | None = Field(
        None,
        description="`max`: larger is better; `min`: smaller is. Absent: max with atLeast, min "
        "with atMost.",
    )
    at_least: Threshold | None = Field(None, description="Stop when the metric has reached this.")
    at_most: Threshold | None = Field(
        None, description="Stop when the metric has come down to this."
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10000,
        description="Stop after this many rounds in a row that did not improve on the best.",
    )
