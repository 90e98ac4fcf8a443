"""What is there of a job, as it compares with another one that went through the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]
CHILDREN = {
    "pods": "/api/v1",
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "services": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}
"""Kinds of children, and where the API server has them."""
_VOLATILE = {
    "lastTransitionTime", "startTime", "completionTime", "seconds", "born", "started", "time",
    "lostAt", "observedGeneration",
}  # fmt: skip
_WORDS = (
    (re.compile(r"[0-9a-f]{64}"), "SHA"),
    (re.compile(r"\bchecksum [0-9a-f]{16}"), "checksum"),
    (re.compile(r"\b\d+/\d+ nodes are available.*?(?=; lower)"), "UNSCHEDULABLE"),
    (re.compile(r"the image (was built in [\d.]+ s|was already in the registry)"), "the image"),
)


def portrait(job: str, found: Mapping[str, list[Body]]) -> Body:
    """The objects of a job as they compare.

    Args:
        job: Its name.
        found: The job and its children by kind.
    """
    uids = [item["metadata"]["uid"] for item in found.get("federatedjobs", [])]
    children = [item for kind in CHILDREN for item in found.get(kind, [])]
    nobody = [{"uid": "nobody"}]
    owners = [r["uid"] for c in children for r in c["metadata"].get("ownerReferences", nobody)]
    notes = [item["metadata"].get("annotations") or {} for item in children]
    sets = {note["fedjob.dev/kits"] for note in notes if "fedjob.dev/kits" in note}
    status = found["federatedjobs"][0].get("status") if uids else None
    return {
        "jobs": len(uids),
        "owned": all(owner in uids for owner in owners),
        "kit sets": len(sets),
        "status": _status(status, job),
        "children": {
            kind: [_child(item, job) for item in sorted(found.get(kind, []), key=_name)]
            for kind in CHILDREN
        },
    }


def _status(status: Body | None, job: str) -> Any:
    found = plain(status, job)
    if found and found.get("state") == "Complete":
        # What was told of them last before the end, which an operator may have been away for.
        for worker in found["clients"]["list"]:
            worker["state"] = "*"
    return found


def _name(item: Body) -> str:
    return str(item["metadata"]["name"])


def _child(item: Body, job: str) -> Body:
    meta = item["metadata"]
    kept: Body = {
        "name": meta["name"],
        "labels": meta.get("labels"),
        "annotations": sorted(meta.get("annotations") or {}),
        "deleting": "deletionTimestamp" in meta,
        **{part: item[part] for part in ("spec", "type") if part in item},
    }
    if "data" in item:
        record = item["data"].get("record.json")
        kept["data"] = json.loads(record) if record else sorted(item["data"])
    if isinstance(kept.get("spec"), dict):
        kept["spec"] = {n: v for n, v in kept["spec"].items() if not n.startswith("clusterIP")}
    if "phase" in (item.get("status") or {}):
        kept["phase"] = item["status"]["phase"]
    found: Body = plain(kept, job)
    return found


def plain(value: Any, job: str) -> Any:
    """Without times, hashes of a job's name, and which of two equal jobs came first."""
    if isinstance(value, dict):
        return {
            name: "*" if name in _VOLATILE else plain(part, job)
            for name, part in value.items()
            if name not in ("cacheHit", "madeFrom")
        }
    if isinstance(value, list):
        return [plain(part, job) for part in value]
    if isinstance(value, str):
        value = value.replace(job, "JOB")
        for pattern, word in _WORDS:
            value = pattern.sub(word, value)
        return {"CacheHit": "Built"}.get(value, value)
    return value
