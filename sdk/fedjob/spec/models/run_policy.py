"""`spec.runPolicy`: when to pause, to give up and to clean up."""

from __future__ import annotations

from pydantic import Field

from fedjob.spec.models.base import Model


class RunPolicy(Model):
    """Limits of the whole run. Times are in seconds."""

    suspend: bool = Field(
        False,
        description="True stops the pods; false continues from the last committed round.",
    )
    active_deadline_seconds: int | None = Field(
        None, ge=1, le=31536000, description="The job fails when it runs longer; absent: no limit."
    )
    ttl_seconds_after_finished: int | None = Field(
        None,
        ge=0,
        le=31536000,
        description="A finished job is deleted after this; absent: the operator's default, a "
        "week unless its owner chose otherwise.",
    )
    backoff_limit: int = Field(
        6, ge=0, le=100, description="Server starts without a committed round before the job fails."
    )
