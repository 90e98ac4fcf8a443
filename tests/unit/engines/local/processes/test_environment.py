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


@pytest.mark.parametrize(
    "name",
    [
        "GRPC_POLL_STRATEGY", "GRPC_DNS_RESOLVER", "grpc_proxy", "NVFL_JOB_STORE_ROOT",
        "NVFLARE_POLL_INTERVAL", "FL_LOG_LEVEL", "BOTO_CONFIG", "BOTOCORE_TCP_KEEPALIVE",
        "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONIOENCODING",
    ],
)  # fmt: skip
def test_settings_of_the_libraries_that_a_run_is_built_from_are_removed(name):
    assert name not in of({name: "odd"})


@pytest.mark.parametrize(
    "name",
    ["HOME", "TMPDIR", "PATH", "LANG", "HF_HOME", "CUDA_VISIBLE_DEVICES", "HTTPS_PROXY",
     "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PYTHONHASHSEED", "LD_LIBRARY_PATH"],
)  # fmt: skip
def test_settings_that_training_code_may_need_are_kept(name):
    assert of({name: "theirs"})[name] == "theirs"


def test_text_files_are_utf8_in_every_locale():
    assert of({"LC_ALL": "C", "PYTHONUTF8": "0"})["PYTHONUTF8"] == "1"


def test_every_process_carries_the_marks():
    env = of({RUN_ID: "another run's"})
    assert (env[RUN_ID], env[RUN_FOLDER]) == ("x1", "/out/.fedjob")


@pytest.mark.parametrize("given", ["NO_PROXY", "no_proxy"])
def test_loopback_is_reached_without_proxy_and_so_are_the_users_hosts(given):
    env = of({given: "intra.example", "HTTP_PROXY": "http://proxy:3128"})
    assert env["NO_PROXY"].split(",") == ["intra.example", "127.0.0.1", "localhost", "::1"]
    assert env["no_proxy"] == env["NO_PROXY"], "the lower-case name wins in most libraries"


def test_lower_case_no_proxy_wins_as_in_urllib():
    assert of({"no_proxy": "a", "NO_PROXY": "b"})["no_proxy"].split(",")[0] == "a"


def test_star_in_no_proxy_stays_alone():
    assert of({"NO_PROXY": "*"})["no_proxy"] == "*"


def test_list_for_grpc_alone_also_gets_loopback():
    assert "localhost" in of({"no_grpc_proxy": "intra.example"})["no_grpc_proxy"]
    assert "no_grpc_proxy" not in of({}), "with it gRPC would ignore no_proxy"


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
