"""Startup kits: four files a site, taken from what NVFlare's provisioner produces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nvflare.lighter import provisioner

from fedjob_runtime.nvflare_site.provisioning import ADMIN_NAME, main, make_kits

CERTIFICATES = ("rootCA.pem", "server.crt", "server.key", "client.crt", "client.key")


class FakeProvisioner:
    """Writes files where NVFlare's provisioner writes them, more than a kit needs."""

    projects: tuple[Any, ...] = ()
    root_valid_days: int | None = None

    def __init__(self, root_dir: str, builders: list[Any]) -> None:
        self._root = Path(root_dir)
        FakeProvisioner.root_valid_days = builders[2].root_valid_days

    def provision(self, project: Any) -> None:
        FakeProvisioner.projects += (project,)
        print(f"provisioned into {self._root}")
        sites = {"server": "fed_server", ADMIN_NAME: "fed_admin"}
        sites |= {client.name: "fed_client" for client in project.get_clients()}
        for site, kind in sites.items():
            folder = self._root / project.name / "prod_00" / site / "startup"
            folder.mkdir(parents=True)
            for name in (f"{kind}.json", *CERTIFICATES, "start.sh", "signature.json"):
                (folder / name).write_text(f"{site} {name}")


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioner, "Provisioner", FakeProvisioner)
    monkeypatch.setattr(FakeProvisioner, "projects", ())


def make(out: Path, *workers: str, hosts: tuple[str, ...] = ()) -> None:
    make_kits(
        out, project="digits", server_name="digits-server", hosts=hosts, workers=workers, port=8002
    )


def files(out: Path) -> dict[str, list[str]]:
    return {kit.name: sorted(path.name for path in kit.iterdir()) for kit in out.iterdir()}


def test_each_site_gets_its_four_files_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    make(tmp_path, "worker-0", "worker-1")
    client = ["client.crt", "client.key", "fed_client.json", "rootCA.pem"]
    assert files(tmp_path) == {
        "server": ["fed_server.json", "rootCA.pem", "server.crt", "server.key"],
        "admin": ["client.crt", "client.key", "fed_admin.json", "rootCA.pem"],
        "worker-0": client,
        "worker-1": client,
    }
    assert (tmp_path / "worker-1/client.key").read_text() == "worker-1 client.key"


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    make(tmp_path, "worker-0")
    assert (tmp_path / "server").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "server").iterdir()} == {0o600}


def test_older_kit_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "worker-0").mkdir()
    (tmp_path / "worker-0/client.crt").write_text("expired")
    (tmp_path / "worker-0/stray").write_text("x")
    make(tmp_path, "worker-0")
    assert "stray" not in files(tmp_path)["worker-0"]
    assert (tmp_path / "worker-0/client.crt").read_text() == "worker-0 client.crt"


def test_server_certificate_is_also_for_localhost_and_no_host_is_twice(tmp_path: Path) -> None:
    make(tmp_path, "worker-0", hosts=("digits.team.svc", "localhost", "digits.team.svc"))
    [project] = FakeProvisioner.projects
    server = project.get_server()
    assert server.get_prop("host_names") == ["localhost", "digits.team.svc"]
    assert server.get_default_host() == "digits-server"
    assert (server.get_prop("fed_learn_port"), server.get_prop("admin_port")) == (8002, 8002)
    [admin] = project.get_admins()
    assert (admin.name, admin.get_prop("role")) == (ADMIN_NAME, "project_admin")


def test_command_prints_its_kits_and_none_of_the_provisioners_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path / "kits"), "--project", "digits", "--server-name", "s"]
    arguments += ["--fl-port", "8002", "--worker", "worker-0", "--worker", "worker-1"]
    assert main([*arguments, "--host", "h", "--valid-days", "3"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"kits": ["server", "admin", "worker-0", "worker-1"]}
    assert sorted(files(tmp_path / "kits")) == ["admin", "server", "worker-0", "worker-1"]
    assert FakeProvisioner.root_valid_days == 3


def test_output_is_back_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: FakeProvisioner, project: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(FakeProvisioner, "provision", fail)
    with pytest.raises(OSError, match="no space left"):
        main(["--out", str(tmp_path), "--server-name", "s", "--fl-port", "1", "--worker", "w"])
    print("shown")
    assert capsys.readouterr().out == "shown\n"
    assert list(tmp_path.iterdir()) == []
