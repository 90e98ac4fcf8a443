"""Keys are kept out of logs and handed on as environment variables."""

from fedjob.storage.credentials import Credentials


def test_secrets_are_not_in_the_repr():
    assert repr(Credentials("key", "top", "token")) == "Credentials(access_key='key')"


def test_environment_of_a_process_that_uses_the_keys():
    assert Credentials("key", "top").environment() == {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "top",
    }
    assert Credentials("key", "top", "token").environment()["AWS_SESSION_TOKEN"] == "token"
