"""Ports are held against other runs, and only while their holder lives."""

import socket

import pytest

from fedjob.engines.local.store import ports as module
from fedjob.engines.local.store.ports import END, FIRST, NoFreePortError, Ports


def test_ports_are_within_the_range_and_differ(tmp_path):
    with Ports(tmp_path) as ports:
        taken = [ports.take() for _ in range(20)]
    assert len({*taken}) == 20
    assert all(FIRST <= port < END for port in taken)


def test_port_is_not_given_twice_until_it_is_released(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "END", FIRST + 1)
    monkeypatch.setattr(module, "_is_free", lambda port: True)
    one, two = Ports(tmp_path), Ports(tmp_path)
    assert one.take() == FIRST
    with pytest.raises(NoFreePortError, match="no free port in 20000-20000"):
        two.take()
    one.release()
    assert two.take() == FIRST
    two.release()


def test_offset_ports_are_taken_all_or_none(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "END", FIRST + 11)
    monkeypatch.setattr(module, "_is_free", lambda port: port != FIRST + 10)
    with Ports(tmp_path) as ports:
        with pytest.raises(NoFreePortError):
            ports.take(10)
        kept = sorted(ports.take() for _ in range(10))
    assert kept == list(range(FIRST, FIRST + 10)), "a failed attempt keeps no lock"


def test_port_with_a_listener_is_passed_over():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not module._is_free(listener.getsockname()[1])
