"""The command line and the environment of the store's program."""

from pathlib import Path

from fedjob.engines.local.store.embedded_store import _arguments, _environment
from fedjob.storage.credentials import Credentials

PORTS = {"s3.port": 20_001, "admin.port": 20_002}


def test_everything_listens_on_loopback_only_and_nothing_is_open_without_keys():
    arguments = _arguments(PORTS)
    assert arguments[0] == "mini"
    for expected in ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-disableHttp=true", "-s3.port=20001"):
        assert expected in arguments
    env = _environment(Path("/data"), Credentials("key", "secret"))
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]) == ("key", "secret")


def test_no_argument_holds_a_path():
    """SeaweedFS splits folders at commas and expands a leading tilde."""
    assert "-dir=." in _arguments(PORTS)
    assert not any("/" in argument for argument in _arguments(PORTS))


def test_settings_in_the_home_of_the_user_are_not_read():
    assert _environment(Path("/data"), Credentials("key", "secret"))["HOME"] == "/data"
