"""The command that makes startup kits: its arguments, and what happens when it fails."""

import os
import sys

import pytest

from fedjob.engines.local.startup_kits import make_kits
from fedjob.preparation.startup_kits import KitsError, KitsRequest


def kits(tmp_path, code):
    script = tmp_path / "kits.py"
    script.write_text(code)
    request = KitsRequest(
        project="digits",
        server_name="localhost",
        hosts=["127.0.0.1"],
        fl_port=20_000,
        workers=["worker-0", "worker-1"],
    )
    make_kits(
        request,
        tmp_path / "my kits",
        command=[sys.executable, "-I", "-S", str(script)],
        env=dict(os.environ),
        log=tmp_path / "kits.log",
    )


def test_arguments_and_replacement_of_older_kits(tmp_path):
    old = tmp_path / "my kits" / "worker-7"
    old.mkdir(parents=True)
    kits(tmp_path, "import sys; print(*sys.argv[1:], sep='|')")
    assert not old.exists()
    assert (tmp_path / "kits.log").read_text().splitlines()[-1].split("|") == [
        "--out", str(tmp_path / "my kits"), "--project", "digits", "--fl-port", "20000",
        "--server-name", "localhost", "--host", "127.0.0.1",
        "--worker", "worker-0", "--worker", "worker-1",
    ]  # fmt: skip


def test_failure_has_code_and_end_of_the_log(tmp_path):
    with pytest.raises(KitsError, match=r"(?s)code 3; see .*kits\.log.*no entropy"):
        kits(tmp_path, "import sys; print('no entropy'); sys.exit(3)")
