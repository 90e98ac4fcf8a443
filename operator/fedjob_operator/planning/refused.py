"""The status of a resource that the API server took, under an older schema, and we cannot. Pure."""

from __future__ import annotations

from fedjob.errors import InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec.models.status import Condition, ConditionType, JobState
from fedjob_operator.naming import Body
from fedjob_operator.times import rfc3339


def refused_status(body: Body, error: InvalidInputError, now: float) -> Body:
    """What was told before, with Accepted false and every fault.

    Args:
        body: The resource.
        error: What is wrong with it.
        now: Seconds since the epoch.
    """
    before: Body = body.get("status") or {}
    old = {c["type"]: c for c in before.get("conditions") or []}
    was = old.get(ConditionType.ACCEPTED, {})
    message = str(error)[:4000]
    condition = Condition(
        type=ConditionType.ACCEPTED,
        status="False",
        reason=Reason.SPEC_INVALID,
        message=message,
        last_transition_time=was["lastTransitionTime"]
        if was.get("status") == "False"
        else rfc3339(now),
        observed_generation=body["metadata"].get("generation"),
    ).model_dump(mode="json", by_alias=True, exclude_none=True)
    conditions = {**old, str(ConditionType.ACCEPTED.value): condition}
    return {
        **before,
        "state": JobState.PENDING.value,
        "reason": Reason.SPEC_INVALID.value,
        "message": message,
        "observedGeneration": body["metadata"].get("generation"),
        "conditions": list(conditions.values()),
    }
