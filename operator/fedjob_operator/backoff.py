"""How long to wait before something is tried again. Pure rules, in seconds."""

from __future__ import annotations

STEADY_SECONDS = 120.0
"""A pod that lived this long had started well: its backoff begins anew."""
LONGEST_POD_DELAY = 60.0
LONGEST_STAGE_DELAY = 60.0
FIRST_STAGE_DELAY = 2.0


def pod_delay(streak: int) -> float:
    """Before the replacement that follows the `streak`-th loss in a row.

    The first is replaced at once: a drained node or a deleted pod is no fault of the pod.
    """
    return 0.0 if streak <= 1 else min(LONGEST_POD_DELAY, 2.0 ** min(streak - 1, 10))


def next_streak(streak: int, lived: float) -> int:
    """Losses in a row, this one included; `lived` are the seconds of the pod that is lost."""
    return 1 if lived >= STEADY_SECONDS else streak + 1


def stage_delay(tries: int) -> float:
    """Before a preparation that failed `tries` times in a row is tried again."""
    return min(LONGEST_STAGE_DELAY, FIRST_STAGE_DELAY * 2.0 ** min(max(tries, 1) - 1, 10))
