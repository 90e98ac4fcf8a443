"""Logs in the store, by site and start."""

import pytest

from fedjob.engines.kubernetes.stored_logs import StoredLogs
from fedjob.errors import InvalidInputError


class Stored:
    """Results that hold these objects."""

    def __init__(self, **objects):
        self._objects = {
            f"files_out/logs/{name.replace('__', '/').replace('_', '-')}.log": text.encode()
            for name, text in objects.items()
        }

    def objects(self):
        return {**self._objects, "model_out/model.safetensors": b""}

    def read(self, path):
        return self._objects[path]


LOGS = StoredLogs(Stored(worker_0__2="two", worker_0__10="ten\nlast", server__1="s"))


def test_last_start_is_the_highest_number():
    assert list(LOGS.lines("worker-0")) == ["ten", "last"]


def test_previous_and_every_start():
    assert list(LOGS.lines("worker-0", previous=True)) == ["two"]
    assert list(LOGS.lines("worker-0", every=True)) == ["two", "ten", "last"]


def test_what_is_missing_is_named():
    with pytest.raises(InvalidInputError, match="has the logs of server, worker-0"):
        list(LOGS.lines("worker-1"))
    with pytest.raises(InvalidInputError, match="leave --previous out"):
        list(LOGS.lines("server", previous=True))
    with pytest.raises(InvalidInputError, match="has no logs yet"):
        list(StoredLogs(Stored()).lines("server"))
