"""Who takes part: what the client registry published (CONTRACT row 15)."""

from __future__ import annotations

from fedjob_runtime.server.supervisor.membership import Membership, read_membership

PUBLISHED = {
    "clients": {
        "worker-0": {"incarnation": "aa", "heard": 100.0},
        "worker-1": {"incarnation": "bb", "heard": 100.0},
        "worker-2": {"incarnation": "cc", "heard": 50.0},
    },
    "cells": ["worker-0", "worker-2", "worker-0.job-1", "worker-2.job-1", "server.job-1"],
    "jobs": ["job-1"],
}


def test_row_15_only_connected_clients_that_were_heard_count() -> None:
    membership = read_membership(PUBLISHED, now=105.0, silence=30.0)
    assert membership.clients == {"worker-0": "aa"}
    assert membership.job_cells("job-1") == {"worker-0", "worker-2", "server"}
    assert read_membership(PUBLISHED, now=105.0, silence=60.0).clients == {
        "worker-0": "aa",
        "worker-2": "cc",
    }


def test_before_the_parent_is_up_nobody_is_there() -> None:
    assert read_membership(None, 0, 1) == Membership()
