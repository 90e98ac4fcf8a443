"""Snapshots of a job's objects, normalized so that two jobs with the same history compare equal."""

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
"""The kinds of a job's children, with their API group paths."""
_VOLATILE = {
    "lastTransitionTime", "startTime", "completionTime", "seconds", "born", "started", "time",
    "lostAt", "observedGeneration",
}  # fmt: skip
_VARYING_TEXT = (
    (re.compile(r"[0-9a-f]{64}"), "SHA"),
    (re.compile(r"\bchecksum [0-9a-f]{16}"), "checksum"),
    (re.compile(r"\b\d+/\d+ nodes are available.*?(?=; lower)"), "UNSCHEDULABLE"),
    (re.compile(r"the image (was built in [\d.]+ s|was already in the registry)"), "the image"),
)


def snapshot(job: str, found: Mapping[str, list[Body]]) -> Body:
    """The normalized objects of a job.

    Args:
        job: The job's name.
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
        # The last worker state before the end; an operator that was away may have missed it.
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
    """The value without times, names, hashes, and cache hits that depend on the order of jobs."""
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
        for pattern, replacement in _VARYING_TEXT:
            value = pattern.sub(replacement, value)
        return {"CacheHit": "Built"}.get(value, value)
    return value
