"""The view of a job that every decision starts from; built once for each reconcile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fedjob.protocol.server_status import ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import SERVER, WORKER, Body, owner_uid, record_name
from fedjob_operator.planning.desired import drifted, key_of
from fedjob_operator.planning.pod_lifecycle import SlotPlan, stop_slot
from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.state.observed import (
    ChildKey,
    Defaults,
    Observations,
    Observed,
    Problem,
    Stage,
)
from fedjob_operator.state.pod_status import PodView, view_pod
from fedjob_operator.state.record import PodSlot, Record, read_record


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job and what exists of it.

    Attributes:
        job: The resource, which its schema and rules accept; `metadata.uid` is set.
        observed: Everything that is known about the job.
        now: Seconds since the epoch.
        owned: Children that the job owns.
        foreign_owners: Uids of other owners of children with the job's label: earlier jobs of the
            same name.
        record: The record as it was read.
        pods: The job's pods, by slot: `server` or a worker.
    """

    job: FederatedJob
    observed: Observed
    now: float
    owned: Mapping[ChildKey, Body]
    foreign_owners: frozenset[str]
    record: Record
    pods: Mapping[str, tuple[PodView, ...]]

    @classmethod
    def of(cls, job: FederatedJob, observed: Observed, now: float) -> JobView:
        """Builds the view.

        Args:
            job: The resource, parsed from `observed.body`.
            observed: Everything that is known about the job.
            now: Seconds since the epoch.
        """
        uid = job.metadata.uid
        owners = {key: owner_uid(body) for key, body in observed.children.items()}
        owned = {key: body for key, body in observed.children.items() if owners[key] == uid}
        return cls(
            job=job,
            observed=observed,
            now=now,
            owned=owned,
            foreign_owners=frozenset(o for o in owners.values() if o is not None and o != uid),
            record=read_record(owned.get(("ConfigMap", record_name(job.metadata.name)))),
            pods=_pods_by_slot(owned),
        )

    @property
    def observations(self) -> Observations:
        """What is known beside the cluster's objects."""
        return self.observed.observations

    @property
    def defaults(self) -> Defaults:
        """The operator's settings for jobs."""
        return self.observed.defaults

    @property
    def generation(self) -> int:
        """Generation of the job's spec."""
        return int(self.observed.body["metadata"].get("generation") or 0)

    @property
    def status(self) -> Body:
        """The status that the API server has, as JSON."""
        found: Body = self.observed.body.get("status") or {}
        return found

    def with_problem(self, stage: Stage, problem: Problem) -> JobView:
        """The same view with a stage failed."""
        problems = {**self.observations.problems, stage: problem}
        observations = replace(self.observations, problems=problems)
        return replace(self, observed=replace(self.observed, observations=observations))

    def pods_of(self, slot: str) -> tuple[PodView, ...]:
        """The pods of the server or of a worker."""
        return self.pods.get(slot, ())

    def server_status(self) -> ServerStatus | None:
        """The last status of the current server pod; an earlier pod's status is out of date."""
        view = self.observations.server
        current = {
            pod.uid
            for pod in self.pods_of(SERVER)
            if pod.deleting is None and pod.ordinal >= self.record.server.ordinal
        }
        return view.status if view is not None and view.pod in current else None

    def kept_slots(self, record: Record) -> tuple[SlotPlan, dict[str, SlotPlan]]:
        """The plans of server and workers that change nothing."""

        def keep(slot: PodSlot, name: str) -> SlotPlan:
            live = [
                pod
                for pod in self.pods_of(name)
                if pod.deleting is None and pod.ordinal >= slot.ordinal
            ]
            return SlotPlan(slot=slot, pod=max(live, key=lambda pod: pod.ordinal, default=None))

        slots = {name: record.workers.get(name, PodSlot()) for name in self._workers(record)}
        workers = {name: keep(slot, name) for name, slot in slots.items()}
        return keep(record.server, SERVER), workers

    def stopped_slots(self, record: Record) -> tuple[Record, SlotPlan, dict[str, SlotPlan]]:
        """The plans of server and workers that leave no pod running, and the record of that."""
        server = stop_slot(record.server, self.pods_of(SERVER))
        workers = {
            name: stop_slot(record.workers.get(name, PodSlot()), self.pods_of(name))
            for name in self._workers(record)
        }
        update = {
            "server": server.slot,
            "workers": {name: plan.slot for name, plan in workers.items()},
            "started": None,
            "gpus": None,
        }
        return record.model_copy(update=update), server, workers

    def pods_to_delete(self, plans: Iterable[SlotPlan]) -> tuple[Body, ...]:
        """The pods that the plans of slots delete."""
        return tuple(self.owned["Pod", pod.name] for plan in plans for pod in plan.delete)

    def record_body(self, record: Record) -> Body | None:
        """The record's ConfigMap, where it must be written."""
        body = record_map(self.job, record)
        have = self.owned.get(key_of(body))
        return body if have is None or drifted(body, have)[0] else None

    def _workers(self, record: Record) -> list[str]:
        """Every worker that has or had a pod."""
        return sorted({*record.workers, *(name for name in self.pods if name != SERVER)})


def _pods_by_slot(owned: Mapping[ChildKey, Body]) -> dict[str, tuple[PodView, ...]]:
    slots: dict[str, tuple[PodView, ...]] = {}
    for (kind, _), body in sorted(owned.items(), key=lambda item: item[0]):
        if kind == "Pod":
            slot = (body["metadata"].get("labels") or {}).get(WORKER, SERVER)
            slots[slot] = (*slots.get(slot, ()), view_pod(body))
    return slots
