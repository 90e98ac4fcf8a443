"""How long to wait before something is tried again. Pure rules, in seconds."""

from __future__ import annotations

import re

STEADY_SECONDS = 120.0
"""A pod that lived this long had started well: its backoff begins anew."""
LONGEST_POD_DELAY = 60.0
WORTH_SECONDS = 8.0
"""A replacement is scheduled and started in about three."""
LONGEST_STAGE_DELAY = 60.0
FIRST_STAGE_DELAY = 2.0
_BACK_OFF = re.compile(r"back-off (?:(\d+)m)?(?:(\d+)s)?")


def pod_delay(streak: int) -> float:
    """Before the replacement that follows the `streak`-th loss in a row.

    The first is replaced at once: a drained node or a deleted pod is no fault of the pod.
    """
    return 0.0 if streak <= 1 else min(LONGEST_POD_DELAY, 2.0 ** min(streak - 1, 10))


def replaces(told: str, delay: float) -> bool:
    """Whether a fresh pod after `delay` goes on well before the kubelet restarts the container.

    The kubelet waits 10, 20, 40 s and so on up to 300 s before each restart but the first of a
    pod, and begins anew in a fresh one.

    Args:
        told: Its message, such as `back-off 1m20s restarting failed container=...`.
        delay: Seconds.
    """
    found = _BACK_OFF.search(told)
    minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0)
    return 60 * minutes + seconds >= delay + WORTH_SECONDS


def next_streak(streak: int, lived: float) -> int:
    """Losses in a row, this one included; `lived` are the seconds of the pod that is lost."""
    return 1 if lived >= STEADY_SECONDS else streak + 1


def stage_delay(tries: int) -> float:
    """Before a preparation that failed `tries` times in a row is tried again."""
    return min(LONGEST_STAGE_DELAY, FIRST_STAGE_DELAY * 2.0 ** min(max(tries, 1) - 1, 10))
