"""Connections of training processes: cut, and left alone by what training code forks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.federation import Federation

pytestmark = pytest.mark.federation

CUTS = """
import os, socket, time
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


def cut():
    # What gRPC's fork handler does in a child: its sockets are those of this process.
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            connection = socket.socket(fileno=os.dup(int(name)))
            if connection.family in (socket.AF_INET, socket.AF_INET6):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        except OSError:
            pass


def fl_train_model(payload):
    env = payload["env"]
    flag = f"{payload['dataset']['data_root']}/../cut"
    if env["CURRENT_ROUND"] == 1 and env["SITE_NAME"] == "worker-0" and not os.path.exists(flag):
        open(flag, "w").close()
        cut()
        time.sleep(0.5)
    return {"weights": payload["initial_weights"], "samples": 2}
"""

LOADERS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

KEPT = {}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(x)


class Points(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.full((4,), index / 40), index % 2


def collate(rows):
    return torch.stack([x for x, _ in rows]), torch.tensor([y for _, y in rows])


def fl_train_model(payload):
    env = payload["env"]
    model = Net()
    model.set_weights(payload["initial_weights"])
    way = ("fork", "persistent", "forkserver", "fork", "spawn", "persistent")[env["CURRENT_ROUND"]]
    loader = KEPT.get(way) or DataLoader(
        Points(), batch_size=10, num_workers=2, collate_fn=collate,
        multiprocessing_context="fork" if way == "persistent" else way,
        persistent_workers=way == "persistent",
    )
    if way == "persistent":
        KEPT[way] = loader
    rows = 0
    for x, y in loader:
        nn.functional.cross_entropy(model(x), y).backward()
        rows += len(y)
    return {"weights": model.state_dict(), "samples": rows}
"""


def test_a_cut_connection_is_not_an_exited_process(federation: Callable[..., Federation]) -> None:
    fed = federation(
        CUTS,
        [2, 2],
        federation={"num_rounds": 4, "min_clients": 2, "wait_time_after_min_received": 1},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    assert [commit.round for commit in fed.commits()] == [1, 2, 3, 4]
    status = fed.last_status()
    assert list(fed.home("worker-0").rglob("cut"))
    assert "job-process" not in status.retries, status.retries
    assert not any("training process ended" in event.message for event in status.events)


def test_data_loaders_with_workers_break_no_connection(
    federation: Callable[..., Federation],
) -> None:
    """fork, spawn, forkserver and persistent workers: no segment is lost."""
    fed = federation(
        LOADERS,
        [2, 2],
        federation={"num_rounds": 6, "min_clients": 2, "wait_time_after_min_received": 1},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    assert [commit.round for commit in fed.commits()] == list(range(1, 7))
    assert fed.last_status().retries == {}
    # One segment: each commit's attempt and segment are the first's.
    assert fed.logs().count("segment 2") == 0
