"""Startup kits of a job: the request, and what a failing or hanging command leads to."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from fedjob.preparation import startup_kits as shared
from fedjob.reasons import Reason
from fedjob_operator.stages import startup_kits
from fedjob_operator.stages.startup_kits import kits_request, make_kits, wipe_kits
from support.operator.samples import a_job


def use(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Replaces the provisioner by a Python program, which gets its arguments."""

    def argv(self: shared.KitsRequest, out: Path) -> list[str]:
        return [sys.executable, "-S", "-c", program, str(out), *self.workers]

    monkeypatch.setattr(shared.KitsRequest, "argv", argv)


def test_kits_name_every_address_of_the_server() -> None:
    command = kits_request(a_job(), 2).argv(Path("/out"))
    assert command[command.index("--server-name") + 1] == "digits-server"
    assert "digits-server.team.svc" in command
    assert "digits-server.team.svc.cluster.local" in command
    assert command[-4:] == ["--worker", "worker-0", "--worker", "worker-1"]


def test_kits_are_read_by_site_and_get_a_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    use(
        monkeypatch,
        "import sys, os\n"
        "for site in sys.argv[2:]:\n"
        "    os.mkdir(f'{sys.argv[1]}/{site}')\n"
        "    open(f'{sys.argv[1]}/{site}/a.crt', 'w').write(site)\n",
    )
    first, second = (asyncio.run(make_kits(a_job(), 2)) for _ in range(2))
    assert first.files == {"worker-0": {"a.crt": b"worker-0"}, "worker-1": {"a.crt": b"worker-1"}}
    assert first.files == second.files
    assert first.name != second.name


def test_failed_command_is_reported_with_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "import sys; sys.exit('no space left')")
    with pytest.raises(shared.KitsError, match=r"ended with code 1[^\n]*\nno space left") as caught:
        asyncio.run(make_kits(a_job(), 1))
    assert caught.value.reason is Reason.INTERNAL_ERROR


def test_hanging_command_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "import time; time.sleep(600)")
    monkeypatch.setattr(startup_kits, "TIMEOUT_SECONDS", 0.05)
    with pytest.raises(shared.KitsError, match="give the operator more CPU"):
        asyncio.run(make_kits(a_job(), 1))


def test_kits_are_made_in_the_given_folder_and_leave_nothing_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder is one in memory: the authority's key is in it for a moment."""
    use(monkeypatch, "import sys; open(sys.argv[1] + '/../seen', 'w').write(sys.argv[1])")
    asyncio.run(make_kits(a_job(), 1, str(tmp_path)))
    assert Path((tmp_path / "seen").read_text()).parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


def test_kits_of_a_killed_process_are_wiped(tmp_path: Path) -> None:
    (tmp_path / "kits-x" / "server").mkdir(parents=True)
    (tmp_path / "kits-x" / "server" / "server.key").write_text("secret")
    (tmp_path / "other").mkdir()
    wipe_kits(str(tmp_path))
    wipe_kits("")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_certificates_outlive_the_longest_deadline() -> None:
    argv = kits_request(a_job(), 1).argv(Path("/out"))
    assert int(argv[argv.index("--valid-days") + 1]) > 365
