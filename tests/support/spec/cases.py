"""Jobs that are refused, and ones that are accepted: by fedjob and by the API server alike.

Where the two differ stands in support/spec/api_server_cases.py.
"""

from __future__ import annotations

from typing import Any

from support.spec.accepted_jobs import JOBS
from support.spec.placement_cases import placement_cases
from support.spec.refused_model import HEAD, MODEL
from support.spec.refused_pods import PODS
from support.spec.refused_training import FEDERATION, SHARDS_AND_TRAINING

REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    **HEAD,
    **MODEL,
    **SHARDS_AND_TRAINING,
    **FEDERATION,
    **PODS,
}
"""Changes of the sample job; the field at fault, a part of the problem, a part of the fix."""

ACCEPTED: dict[str, dict[str, Any]] = dict(JOBS)
"""Changes of the sample job."""

for _section in ("server", "workers"):
    _accepted, _refused = placement_cases(_section)
    ACCEPTED |= _accepted
    REFUSED |= _refused
