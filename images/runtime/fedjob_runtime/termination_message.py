"""What a container leaves for its pod's status, where Kubernetes keeps it after the end."""

from __future__ import annotations

import json
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
"""Exists in a pod only; the kubelet keeps at most 4,096 bytes of it."""
TERMINATION_BYTES = 4000


def leave_termination_message(phase: str, reason: str, message: str) -> None:
    """Writes how this start ended; does nothing outside of a pod.

    Args:
        phase: How far it came, such as `Failed`.
        reason: From the catalogue; empty after a good end.
        message: What happened and what to do.
    """
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(termination_message(phase, reason, message), encoding="utf-8")


def termination_message(phase: str, reason: str, message: str) -> str:
    """A JSON object with these fields; the message is cut to what the kubelet keeps."""
    fields = {"phase": phase, "reason": reason, "message": message}
    while len(json.dumps(fields)) > TERMINATION_BYTES:
        fields["message"] = fields["message"][: len(fields["message"]) // 2]
    return json.dumps(fields)
