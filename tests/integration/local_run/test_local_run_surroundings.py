"""`fedjob run` where a machine is least accommodating: every path and every setting is odd."""

import os
import subprocess

import pytest

from integration.local_run.hostile_surroundings import NAME, environment_of, interpreter_in
from integration.local_run.test_local_run import check_results
from integration.local_run.tiny_job import fedjob, finish, write_job, write_shards

pytestmark = pytest.mark.federation


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_odd_paths_and_settings_of_other_programs_change_nothing(tmp_path, umask):
    work = tmp_path / f"work {NAME}"
    work.mkdir()
    job = write_job(work, rounds=2)
    write_shards(work / "shards")
    out = work / f"out {NAME}"
    process = fedjob(
        "run", job.name, "--shards", "shards", "--out", out.name,
        python=interpreter_in(tmp_path / f"python {NAME}"),
        env=environment_of(tmp_path), cwd=work, preexec_fn=lambda: os.umask(umask),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    code, _stdout, stderr = finish(process)
    assert code == 0, stderr
    check_results(out, 2)
    assert "restarting" not in stderr
