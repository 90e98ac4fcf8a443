"""The observed, taken apart once for the plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedjob.protocol.server_status import ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import SERVER, WORKER, Body, owner_uid, record_name
from fedjob_operator.planning.drift import drifted, key_of
from fedjob_operator.planning.pod_lifecycle import SlotPlan, stop_site
from fedjob_operator.planning.situation import Mode, Situation
from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.state.observed import ChildKey, Observed
from fedjob_operator.state.pod_status import PodView, view_pod
from fedjob_operator.state.record import PodSlot, Record, read_record


@dataclass(frozen=True, slots=True)
class Scene:
    """A job and what is there of it.

    Attributes:
        job: The job.
        observed: Everything that was seen.
        now: Seconds since the epoch.
        mine: Children that the job owns.
        strange: Owners of children with the job's label: earlier jobs of the same name.
        record: What is remembered.
        pods: By site.
    """

    job: FederatedJob
    observed: Observed
    now: float
    mine: Mapping[ChildKey, Body]
    strange: frozenset[str]
    record: Record
    pods: Mapping[str, tuple[PodView, ...]]

    @classmethod
    def of(cls, job: FederatedJob, observed: Observed, now: float) -> Scene:
        """Takes the observed apart."""
        uid = job.metadata.uid
        owners = {key: owner_uid(body) for key, body in observed.children.items()}
        mine = {key: body for key, body in observed.children.items() if owners[key] == uid}
        strange = frozenset(o for o in owners.values() if o is not None and o != uid)
        record = read_record(mine.get(("ConfigMap", record_name(job.metadata.name))))
        return cls(job, observed, now, mine, strange, record, _pods_by_site(mine))

    def pods_of(self, site: str) -> tuple[PodView, ...]:
        """The pods of the server or of a worker."""
        return self.pods.get(site, ())

    def workers(self, record: Record) -> list[str]:
        """Every worker that has or had a pod."""
        return sorted({*record.workers, *(site for site in self.pods if site != SERVER)})

    def kept(self, record: Record) -> tuple[SlotPlan, dict[str, SlotPlan]]:
        """Every site with the pod it has, and nothing to do."""

        def keep(site: PodSlot, name: str) -> SlotPlan:
            live = [
                pod
                for pod in self.pods_of(name)
                if pod.deleting is None and pod.ordinal >= site.ordinal
            ]
            return SlotPlan(site, max(live, key=lambda pod: pod.ordinal, default=None))

        sites = {name: record.workers.get(name, PodSlot()) for name in self.workers(record)}
        return keep(record.server, SERVER), {name: keep(s, name) for name, s in sites.items()}

    def stopped(self, record: Record) -> tuple[Record, SlotPlan, dict[str, SlotPlan]]:
        """Every site without a running pod, and the record of that."""
        server = stop_site(record.server, self.pods_of(SERVER))
        workers = {
            name: stop_site(record.workers.get(name, PodSlot()), self.pods_of(name))
            for name in self.workers(record)
        }
        update = {
            "server": server.site,
            "workers": {name: plan.site for name, plan in workers.items()},
            "started": None,
            "gpus": None,
        }
        return record.model_copy(update=update), server, workers

    def pods_to_delete(self, sites: Iterable[SlotPlan]) -> tuple[Body, ...]:
        """The pods that the plans of sites do without."""
        return tuple(self.mine["Pod", pod.name] for site in sites for pod in site.delete)

    def said(self) -> ServerStatus | None:
        """What the server that is there said; the words of an earlier pod are no news."""
        view = self.observed.facts.server
        uids = {
            pod.uid
            for pod in self.pods_of(SERVER)
            if pod.deleting is None and pod.ordinal >= self.record.server.ordinal
        }
        return view.status if view is not None and view.pod in uids else None

    def record_body(self, record: Record) -> Body | None:
        """The record's ConfigMap, where it is to be written."""
        body = record_map(self.job, record)
        have = self.mine.get(key_of(body))
        return body if have is None or drifted(body, have) else None

    def situation(self, mode: Mode, record: Record, **more: Any) -> Situation:
        """What the status follows from."""
        body = self.observed.body
        generation = int(body["metadata"].get("generation") or 0)
        more = {
            "problems": self.observed.facts.problems,
            "defaults": self.observed.defaults,
            **more,
        }
        before = body.get("status") or {}
        return Situation(self.job, generation, before, mode, record, self.now, **more)


def _pods_by_site(mine: Mapping[ChildKey, Body]) -> dict[str, tuple[PodView, ...]]:
    sites: dict[str, tuple[PodView, ...]] = {}
    for (kind, _), body in sorted(mine.items(), key=lambda item: item[0]):
        if kind == "Pod":
            site = (body["metadata"].get("labels") or {}).get(WORKER, SERVER)
            sites[site] = (*sites.get(site, ()), view_pod(body))
    return sites
