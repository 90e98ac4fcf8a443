"""What the processes of a local run find in their environment."""

import os
from pathlib import Path

import pytest

from fedjob.engines.local.processes.environment import process_environment
from fedjob.engines.local.processes.orphans import RUN_FOLDER, RUN_ID


def of(ours, workers=2, cpus=8):
    return process_environment(
        ours, run_id="x1", folder=Path("/out/.fedjob"), workers=workers, cpus=cpus
    )


def test_no_key_of_any_store_is_passed_on():
    env = of({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_PROFILE": "c", "A": "d"})
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"}.isdisjoint(env)
    assert env["AWS_SHARED_CREDENTIALS_FILE"] == env["AWS_CONFIG_FILE"] == os.devnull
    assert env["A"] == "d"


def test_every_process_carries_the_marks():
    env = of({RUN_ID: "another run's"})
    assert (env[RUN_ID], env[RUN_FOLDER]) == ("x1", "/out/.fedjob")


def test_loopback_goes_by_no_proxy():
    env = of({"NO_PROXY": "intra.example", "HTTP_PROXY": "http://proxy:3128"})
    assert env["NO_PROXY"].split(",")[:2] == ["intra.example", "127.0.0.1"]
    assert "localhost" in env["no_proxy"]


def test_a_relative_pythonpath_means_the_same_in_another_folder():
    env = of({"PYTHONPATH": f"sdk{os.pathsep}/abs{os.pathsep}"})
    assert env["PYTHONPATH"] == os.pathsep.join([str(Path("sdk").absolute()), "/abs"])
    assert "PYTHONPATH" not in of({})


@pytest.mark.parametrize(
    ("ours", "workers", "cpus", "threads"),
    [({}, 2, 8, "4"), ({}, 5, 2, "1"), ({}, 0, 2, "2"), ({"OMP_NUM_THREADS": "7"}, 2, 8, "7")],
)
def test_workers_share_the_cores(ours, workers, cpus, threads):
    assert of(ours, workers, cpus)["OMP_NUM_THREADS"] == threads
