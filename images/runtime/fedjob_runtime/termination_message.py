"""What a container leaves for its pod's status, where Kubernetes keeps it after the end."""

from __future__ import annotations

import json
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
"""There in a pod alone; the kubelet keeps at most 4,096 bytes of it."""
TERMINATION_BYTES = 4000


def leave_words(phase: str, reason: str, message: str) -> None:
    """Writes how this start ended; does nothing outside of a pod.

    Args:
        phase: How far it came, such as `Failed`.
        reason: Of the catalogue; empty after a good end.
        message: What happened and what to do.
    """
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(termination_words(phase, reason, message), encoding="utf-8")


def termination_words(phase: str, reason: str, message: str) -> str:
    """The words as JSON, the message cut to what is kept."""
    words = {"phase": phase, "reason": reason, "message": message}
    while len(json.dumps(words)) > TERMINATION_BYTES:
        words["message"] = words["message"][: len(words["message"]) // 2]
    return json.dumps(words)
