"""Which run a name stands for."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from fedjob.cli.cluster_options import (
    is_folder,
    job_handle,
    job_names,
    jobs_api,
    on_cluster,
    run_handle,
)
from fedjob.engines.kubernetes.access import Target
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.engines.local.handle import LocalHandle
from support.cluster.fake_api_server import fake_api_server


@pytest.fixture
def kubeconfig(tmp_path):
    with fake_api_server() as server:
        server.put("digits")
        server.put("dots")
        server.put("digits-2", "else")
        yield server.kubeconfig(tmp_path)


def test_option_comes_before_the_file_and_the_file_before_the_context(kubeconfig):
    assert jobs_api(Target(kubeconfig=kubeconfig)).namespace == "team"
    assert jobs_api(Target(kubeconfig=kubeconfig), default="filed").namespace == "filed"
    assert (
        jobs_api(Target(namespace="mine", kubeconfig=kubeconfig), default="filed").namespace
        == "mine"
    )


def test_folder_has_a_path_in_it_or_holds_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert not is_folder("digits")
    (tmp_path / "digits/.fedjob").mkdir()
    assert is_folder("digits")
    assert is_folder("out/other")
    assert is_folder(".")


def test_handle_is_local_or_of_the_cluster(tmp_path, kubeconfig):
    assert isinstance(run_handle(str(tmp_path), Target()), LocalHandle)
    found = run_handle("digits", Target(kubeconfig=kubeconfig))
    assert isinstance(found, KubernetesHandle)
    assert (found.name, found.namespace) == ("digits", "team")


def test_lost_connection_is_shown(kubeconfig, capsys):
    job_handle("digits", Target(kubeconfig=kubeconfig))._interrupted("refused")
    assert "connection lost, trying again: refused" in capsys.readouterr().err


def test_names_are_completed_and_a_cluster_that_is_away_completes_none(kubeconfig):
    context = SimpleNamespace(params={"kubeconfig": kubeconfig})
    assert job_names(context, "di") == ["digits"]
    assert job_names(SimpleNamespace(params={"kubeconfig": kubeconfig / "x"}), "") == []


def test_options_of_the_cluster_become_one_argument():
    seen = []

    def command(name: str, *, target: Target, loud: bool = False) -> None:
        """Show it."""
        seen.append((name, target, loud))

    app = typer.Typer()
    app.command()(on_cluster(command))
    given = ["digits", "--loud", "-n", "team", "--context", "prod", "--kubeconfig", "k.yaml"]
    assert CliRunner().invoke(app, given).exit_code == 0
    assert CliRunner().invoke(app, ["digits"]).exit_code == 0
    assert seen == [
        ("digits", Target("prod", "team", Path("k.yaml")), True), ("digits", Target(), False),
    ]  # fmt: skip
    assert list(inspect.signature(on_cluster(command)).parameters) == [
        "name", "context", "namespace", "kubeconfig", "loud",
    ]  # fmt: skip
