"""The service's client: where jobs run, and how its job object reads."""

import stat
from pathlib import Path

import pytest
import yaml

from fedjob.client.local import LocalClient
from fedjob.compat import FederationConfig, ResonTech, ResonTechConfig
from fedjob.compat.jobs import JobArguments
from fedjob.compat.service import kubeconfig_text, place_of
from fedjob.errors import FedjobWarning, InvalidInputError
from support.sdk.finished_run import finish


@pytest.mark.parametrize(
    ("engine", "base_url", "password", "place"),
    [
        ("", None, None, ""),
        ("", "kubeconfig", None, ""),
        ("", "local", None, "local"),
        ("", "local://runs", None, "local://runs"),
        ("", "https://host:6443", None, ""),
        ("", "https://host:6443", "token", "https://host:6443"),
        ("local", "https://host:6443", "token", "local"),
        ("kubernetes", "local", None, ""),
    ],
)
def test_where_jobs_run(engine, base_url, password, place, monkeypatch):
    """Row 3."""
    monkeypatch.setenv("FEDJOB_ENGINE", engine)
    assert place_of(ResonTechConfig(base_url, password=password)) == place


def test_unknown_places_are_refused(monkeypatch):
    with pytest.raises(InvalidInputError, match="base_url: 'ftp://x' is not a place"):
        ResonTech(base_url="ftp://x")
    monkeypatch.setenv("FEDJOB_ENGINE", "slurm")
    with pytest.raises(InvalidInputError, match="FEDJOB_ENGINE: 'slurm' is not a place"):
        ResonTech()


def test_token_and_server_become_a_kubeconfig(tmp_path, monkeypatch):
    """Row 3; the certificate authority is the one that the user's kubeconfig has for it."""
    ours = {"server": "https://host:6443/", "certificate-authority-data": "Q0E="}
    other = {"server": "https://other:6443"}
    clusters = [{"name": "b", "cluster": other}, {"name": "a", "cluster": ours}]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({"clusters": clusters}))
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{path}")
    client = ResonTech(ResonTechConfig("https://host:6443", password="token", namespace="team"))
    made = client._open()
    written = Path(made._kubeconfig)
    config = yaml.safe_load(written.read_text())
    assert config["users"][0]["user"] == {"token": "token"}
    assert config["clusters"][0]["cluster"] == {
        "server": "https://host:6443",
        "certificate-authority-data": "Q0E=",
    }
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    client.close()
    assert not written.exists(), "the token is forgotten"
    assert yaml.safe_load(kubeconfig_text("https://x", "t", None))["current-context"] == "fedjob"


def test_submission_is_a_run_of_the_local_client(model, shards, tmp_path):
    place = tmp_path / "runs"
    arguments = {"federation": FederationConfig(num_rounds=2), "training": {"num_classes": 2}}
    job = JobArguments(name="digits", **arguments).job(model, "ada@example.org")
    finish(job.prepared(shards), place / "digits")
    config = ResonTechConfig(f"local://{place}", "ada@example.org", s3_region="r")
    with ResonTech(config) as client:
        assert client.login() is client
        with pytest.warns(FedjobWarning) as caught:
            made = client.rt_submit(model, "digits", shards, worker_ids=[1], **arguments)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert "s3_region" in str(caught[0].message)
        assert "worker_ids" in str(caught[0].message)
        assert made.wait(30).state == "Complete"
        assert (made.status, made.name, made.job_id) == ("Complete", "digits", "default/digits")
        assert made.dashboard_url == (place / "digits" / "report.html").as_uri()
        assert list(made.logs())
        assert client.get_job("digits").status == "Complete"
        assert "digits" in repr(made)
        assert "<svg" in made._repr_html_()
        with pytest.raises(InvalidInputError, match="rt_submit: epochs: is not an argument"):
            client.rt_submit(model, "digits", shards, epochs=3)
        made.cancel()
    assert LocalClient(place).list() == []
