"""Who takes part: what the client registry published (CONTRACT row 15)."""

from __future__ import annotations

from fedjob_runtime.server.supervisor.membership import Membership, read_membership

PUBLISHED = {
    "clients": {
        "worker-0": {"incarnation": "aa", "last_heartbeat": 100.0},
        "worker-1": {"incarnation": "bb", "last_heartbeat": 100.0},
        "worker-2": {"incarnation": "cc", "last_heartbeat": 50.0},
    },
    "cells": ["worker-0", "worker-2", "worker-0.job-1", "worker-2.job-1", "server.job-1"],
    "jobs": ["job-1"],
    "ended": ["worker-0.job-0", "worker-2.job-1"],
}


def test_row_15_only_connected_clients_with_a_recent_heartbeat_count() -> None:
    membership = read_membership(PUBLISHED, now=105.0, silence=30.0)
    assert membership.clients == {"worker-0": "aa"}
    assert membership.job_cells("job-1") == {"worker-0", "worker-2", "server"}
    assert membership.ended_in("job-1") == {"worker-2"}
    assert read_membership(PUBLISHED, now=105.0, silence=60.0).clients == {
        "worker-0": "aa",
        "worker-2": "cc",
    }


def test_nobody_is_connected_before_the_parent_is_up() -> None:
    assert read_membership(None, 0, 1) == Membership()
