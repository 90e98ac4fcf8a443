"""The faults that an operator's API calls meet, and the script that says which call meets which."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

JOB_NAME = re.compile(r"(?<![a-z0-9-])(c[a-z]\d{3})(?=[^a-z0-9]|$)")
"""Name pattern of the jobs of these tests: a call is assigned to the job whose name it contains."""
LISTED = ("pods", "secrets", "configmaps", "services", "networkpolicies", "federatedjobs")
LEASE = "lease"
"""Calls to the Lease are counted under this job name."""
SILENCE = 6.0
"""The operator's request timeout in tests with silent calls, in seconds; 30 in production."""


class Fault(StrEnum):
    """What happens to a call."""

    KILLED_BEFORE = "killed before"
    """Never reaches the API server: the operator is killed while the call is pending."""
    KILLED_AFTER = "killed after"
    """Carried out, but the operator is killed before it receives the response."""
    TOO_MANY = "429"
    INTERNAL = "500"
    CONFLICT = "409"
    SILENT = "timeout"
    """Never reaches the API server, and gets no response."""
    CLOSED = "closed"
    """The connection is closed before the call is carried out."""
    LOST = "lost answer"
    """Carried out, but the connection is closed before the response."""
    GARBLED = "cut answer"
    """Carried out, but only half of the response arrives."""
    HELD = "held answer"
    """Carried out; the response is held until the test releases it."""


REFUSALS = (Fault.TOO_MANY, Fault.INTERNAL, Fault.SILENT, Fault.CLOSED, Fault.CONFLICT)
"""Faults that leave the cluster unchanged: the call is retried and meets the next one."""
LOSSES = (Fault.LOST, Fault.GARBLED)
"""Faults where the call took effect without the operator knowing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One API call of an operator, as requested."""

    holder: str
    method: str
    path: str
    time: float

    @property
    def mutates(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def signature(self) -> str:
        """Method and path without the job's name, a pod's restart number and an Event's hash.

        All lists share one signature: those of a job's children run in parallel, in any order.
        """
        if self.method == "GET" and self.path.rsplit("/", 1)[-1] in LISTED:
            return "GET a list"
        path = JOB_NAME.sub("JOB", self.path.partition("/namespaces/")[2].partition("/")[2])
        return f"{self.method} {re.sub(r'-r[0-9]+$|[.][0-9a-f]{16}$', '', path)}"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A call that changed a job's objects, as it reached the API server.

    Attributes:
        holder: The operator that made it.
        leader: The holder of the Lease at that time.
        call: The signature of the call.
    """

    holder: str
    leader: str
    call: str


@dataclass(slots=True)
class Track:
    """The calls for one job since the current step began, and the faults armed for them.

    Attributes:
        at: The index of the call that meets the first fault; the following calls meet the others.
        struck: Signatures of the calls that met a fault.
        lost_events: The (kind, event type) of watch events that are dropped; `*` matches any.
        dropped: The number of watch events that were dropped.
    """

    calls: list[Call] = field(default_factory=list)
    at: int = 0
    faults: tuple[Fault, ...] = ()
    struck: list[str] = field(default_factory=list)
    lost_events: tuple[str, str] | None = None
    dropped: int = 0

    @property
    def signatures(self) -> set[str]:
        """The signatures of the calls."""
        return {call.signature for call in self.calls}


class Script:
    """Decides which call meets which fault; all proxies of a test share one."""

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        self.others: list[Call] = []
        self.activity = 0
        """Increases with every call and event of a job."""
        self.leader = ""
        """The holder of the Lease, as last written to the API server."""
        self.mutations: list[Mutation] = []
        self.first: Fault | None = None
        """The fault that the first of each of kopf's own calls meets."""
        self._met: set[tuple[str, str]] = set()

    def arm(self, job: str, at: int = 0, *faults: Fault) -> None:
        """Begins a step of a job: calls count from 0, and those from `at` on meet the faults."""
        lost_events = self.tracks[job].lost_events if job in self.tracks else None
        self.tracks[job] = Track(at=at, faults=faults, lost_events=lost_events)

    def lose_events(self, job: str, kind: str, event: str) -> None:
        """Drops these events of the job from all watches from now on."""
        self.tracks.setdefault(job, Track()).lost_events = (kind, event)

    def take(self, job: str, call: Call) -> Fault | None:
        """Counts a call and returns the fault that it meets, if any."""
        if not job:
            self.others.append(call)
            known = (call.method, call.path) in self._met
            self._met.add((call.method, call.path))
            return None if known else self.first
        self.activity += job != LEASE
        track = self.tracks.setdefault(job, Track())
        number = len(track.calls)
        track.calls.append(call)
        if not track.at <= number < track.at + len(track.faults):
            return None
        track.struck.append(call.signature)
        return track.faults[number - track.at]

    def drops(self, job: str, kind: str, event: str) -> bool:
        """Whether this watch event is dropped; counts it."""
        track = self.tracks.get(job)
        if track is None or track.lost_events is None:
            return False
        lost_kind, lost_event = track.lost_events
        lost = lost_kind in ("*", kind) and lost_event in ("*", event)
        track.dropped += lost
        return lost


def job_of(path: str, query: str, body: bytes) -> str:
    """The job that a call concerns; empty for calls that concern none."""
    if "/leases" in path:
        return LEASE
    found = JOB_NAME.search(path) or JOB_NAME.search(unquote(query))
    if found is None and body:
        name = str(((json.loads(body) or {}).get("metadata") or {}).get("name") or "")
        found = JOB_NAME.match(name)
    return found.group(1) if found is not None else ""
