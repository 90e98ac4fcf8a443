from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedjob.engines.local.store import ports as module
from fedjob.engines.local.store.ports import NoFreePortError, Ports


def test_ports_are_free_and_in_the_range(tmp_path: Path) -> None:
    with Ports(tmp_path) as ports:
        taken = [ports.take() for _ in range(50)]
        assert len(set(taken)) == 50
        assert all(module.FIRST <= port < module.END for port in taken)
        with socket.create_server(("127.0.0.1", taken[0])):
            pass


def test_a_pair_lies_at_its_distance(tmp_path: Path) -> None:
    with Ports(tmp_path) as ports:
        first = ports.take(10_000)
        assert module.FIRST <= first < module.END - 10_000
        assert set(ports._locks) == {first, first + 10_000}


@pytest.fixture
def three_ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[range]:
    """The range is three ports that nothing else on this machine takes meanwhile.

    They are held in the folder that all runs share; the tests take them in folders of their own.
    """
    with Ports() as ports:
        first = ports.take(1, 2)
        monkeypatch.setattr(module, "FIRST", first)
        monkeypatch.setattr(module, "END", first + 3)
        yield range(first, first + 3)


def test_a_port_on_which_another_listens_is_left_out(tmp_path: Path, three_ports: range) -> None:
    for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
        with socket.create_server((address, three_ports[1])), Ports(tmp_path) as ports:
            assert {ports.take(), ports.take()} == {three_ports[0], three_ports[2]}
            with pytest.raises(NoFreePortError, match="stop other runs"):
                ports.take()


def test_of_a_pair_both_or_none_are_taken(tmp_path: Path, three_ports: range) -> None:
    with socket.create_server(("127.0.0.1", three_ports[2])), Ports(tmp_path) as ports:
        with pytest.raises(NoFreePortError):
            ports.take(2)
        assert ports.take(1) == three_ports[0]


def test_what_is_held_is_given_to_nobody_else_and_released(
    tmp_path: Path, three_ports: range
) -> None:
    with Ports(tmp_path) as ours, Ports(tmp_path) as theirs:
        assert {ours.take(), theirs.take(), ours.take()} == set(three_ports)
        with pytest.raises(NoFreePortError):
            theirs.take()
        ours.release()
        assert len({theirs.take(), theirs.take()}) == 2


def test_threads_never_get_the_same(tmp_path: Path) -> None:
    holders = [Ports(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda ports: [ports.take() for _ in range(20)], holders))
    assert len({port for some in given for port in some}) == 160
    for ports in holders:
        ports.release()


HOLDER = """
import sys, time
from pathlib import Path
from fedjob.engines.local.store import ports
ports.FIRST, ports.END = int(sys.argv[2]), int(sys.argv[2]) + 3
held = ports.Ports(Path(sys.argv[1]))
print([held.take() for _ in range(3)], flush=True)
time.sleep(600)
"""


def test_the_ports_of_a_process_that_was_killed_are_free(
    tmp_path: Path, three_ports: range
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), str(three_ports[0])],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    with holder, Ports(tmp_path) as ports:
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith("[")
        with pytest.raises(NoFreePortError):
            ports.take()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert {ports.take(), ports.take(), ports.take()} == set(three_ports)
