"""A client that is given its keys works whatever the user's own AWS settings are."""

import os

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS
from botocore.exceptions import ProfileNotFound

from fedjob.protocol.config import StoreLocation
from fedjob.storage.client import connect
from fedjob.storage.credentials import Credentials

LOCATION = StoreLocation(endpoint="http://127.0.0.1:1", bucket="jobs")
KEYS = Credentials("ours", "secret")


def variables():
    """Every environment variable that botocore reads for a setting, from its own tables."""
    for table in (BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS):
        for _, names, _, _ in table.values():
            yield from [names] if isinstance(names, str) else names or []


ALL = sorted({*variables(), "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} - {"AWS_CA_BUNDLE"})


def client(location=LOCATION, credentials=KEYS):
    return connect(location, credentials, attempts=3, connect_timeout=1.0, read_timeout=2.0)


def check(made):
    assert made.meta.endpoint_url == "http://127.0.0.1:1"
    assert made.meta.region_name == "us-east-1"
    config = made.meta.config
    assert config.s3 == {"addressing_style": "path"}
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert config.user_agent_appid is None
    assert not config.use_dualstack_endpoint
    assert not config.use_fips_endpoint
    credentials = made._request_signer._credentials
    assert (credentials.access_key, credentials.token) == ("ours", None)
    made.close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder whose ~/.aws does not parse."""
    (tmp_path / ".aws").mkdir()
    for name in ("config", "credentials"):
        (tmp_path / ".aws" / name).write_text("[not an ini\nfile = ]")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_tables_name_the_variables_of_the_issue():
    assert {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_DEFAULTS_MODE"} <= {*ALL}
    assert {"AWS_SHARED_CREDENTIALS_FILE", "AWS_USE_DUALSTACK_ENDPOINT"} <= {*ALL}


def test_odd_values_of_all_variables_do_not_reach_the_client(home, monkeypatch):
    for variable in ALL:
        monkeypatch.setenv(variable, "odd value")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "theirs")
    check(client())


def test_files_in_home_that_do_not_parse_are_not_read(home):
    check(client())


def test_settings_of_a_valid_profile_are_not_taken(home):
    (home / ".aws/config").write_text(
        "[default]\nregion = eu-west-3\nuse_dualstack_endpoint = true\nmax_attempts = 9\n"
        "s3 =\n    addressing_style = virtual\n    use_accelerate_endpoint = true\n"
    )
    check(client())


def test_certificate_bundle_of_the_machine_is_taken(monkeypatch, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    made = client(StoreLocation(endpoint="http://store.example", bucket="jobs"))
    assert made._endpoint.http_session._verify == str(bundle)
    made.close()


def test_without_keys_the_users_profile_is_asked_for(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "corp-sso")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(ProfileNotFound, match="corp-sso"):
        client(credentials=None)


def test_proxy_is_not_used_for_loopback_and_used_elsewhere(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    def proxy(endpoint):
        made = client(StoreLocation(endpoint=endpoint, bucket="jobs"))
        found = made._endpoint.http_session._proxy_config.proxy_url_for(endpoint)
        made.close()
        return found

    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert proxy(f"http://{host}:8333") is None
    assert proxy("http://store.example") == "http://proxy.example:3128"
