"""The key of a job's transfers is kept for its owner only."""

import stat

from fedjob.engines.kubernetes.transfer.keys import default_folder, private_key


def test_key_is_the_same_for_a_later_process_and_private(tmp_path):
    folder = tmp_path / "transfers"
    first = private_key("https://a", "team", "digits", folder)
    assert private_key("https://a", "team", "digits", folder) == first
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_other_job_or_cluster_has_another_key(tmp_path):
    keys = {
        private_key(server, namespace, name, tmp_path)
        for server in ("https://a", "https://b")
        for namespace in ("x", "y")
        for name in ("m", "n")
    }
    assert len(keys) == 8


def test_damaged_key_is_replaced(tmp_path):
    private_key("https://a", "team", "digits", tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"half")
    assert len(private_key("https://a", "team", "digits", tmp_path)) == 32
    assert len(path.read_bytes()) == 32


def test_home_that_cannot_be_written_gives_a_key_for_this_process(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert len(private_key("https://a", "team", "digits", blocked / "x")) == 32


def test_folder_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "fedjob/transfers"
