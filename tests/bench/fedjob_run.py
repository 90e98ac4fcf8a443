"""fedjob's side: its server and worker commands as processes, an embedded S3 store beside them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import torch
from cases import CLIENTS, FEDJOB_TRAINING, NET, START, Case
from memory import MemorySampler
from run_figures import RunFigures

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.server_status import ClientState, ServerStatus
from fedjob_runtime.processes.children import descendants
from support.federation import AGENT, Federation


def run(folder: Path, case: Case, seconds: float) -> RunFigures:
    """Runs `case` once, in at most about `seconds`.

    Raises:
        AssertionError: It did not end as it should; with the ends of the logs.
    """
    figures = RunFigures("fedjob", case.name)
    with (
        EmbeddedStore(folder / "store", folder / "store.log") as store,
        contextlib.closing(_federation(folder / "fedjob", store, case)) as federation,
    ):

        def site(name: str) -> list[int]:
            process = federation.processes.get(name)
            return [process.pid, *descendants(process.pid)] if process is not None else []

        def groups() -> Mapping[str, Sequence[int]]:
            return {
                "server": [*site("server"), *site(AGENT)],
                "worker": site("worker-0"),
                "store": [store.pid] if store.pid else [],
            }

        with MemorySampler(groups) as memory:
            began = time.time()
            federation.start()

            def complete(status: ServerStatus) -> bool:
                _note(figures, status, time.time() - began)
                return status.completed >= case.rounds

            federation.until(complete, seconds, f"{case.name}: all rounds")
        figures.memory = memory.peaks
        started = datetime.fromisoformat(federation.log.read(1).started)
        figures.marks["round opened"] = started.timestamp() - began
        for name, value in federation.model(case.rounds).items():
            assert torch.all(value == START + case.rounds), f"fedjob trained {name} wrongly"
    return figures


def _federation(folder: Path, store: EmbeddedStore, case: Case) -> Federation:
    return Federation(
        folder,
        store,
        NET + FEDJOB_TRAINING,
        [1] * CLIENTS,
        federation={"num_rounds": case.rounds, "min_clients": CLIENTS},
        model_args={"tensors": case.tensors, "size": case.size},
        name="bench",
        shared=False,
    )


def _note(figures: RunFigures, status: ServerStatus, now: float) -> None:
    if all(view.state != ClientState.EXPECTED for view in status.clients) and status.clients:
        figures.marks.setdefault("registered", now)
    if status.segments:
        figures.marks.setdefault("submitted", now)
    figures.rounds += [now] * (status.completed - len(figures.rounds))
