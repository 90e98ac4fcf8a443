"""Logs as JSON lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from fedjob_operator.logs import JsonLines, log_json


def test_log_line_is_one_json_object() -> None:
    record = logging.makeLogRecord({"msg": "hello %s", "args": ("you",), "job": "team/digits"})
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["job"]) == ("hello you", "team/digits")


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, with its handlers and level restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_logger")
def test_all_logs_go_to_stdout_and_libraries_only_from_warning_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_json("INFO")
    logging.getLogger("fedjob.x").info("mine", extra={"job": "team/digits"})
    logging.getLogger("kopf.y").info("quiet")
    logging.getLogger("kopf.y").warning("loud")
    logging.getLogger("fedjob.x").debug("quiet")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("fedjob.x", "mine"),
        ("kopf.y", "loud"),
    ]
    assert lines[0]["job"] == "team/digits"
    assert lines[0]["time"].endswith("Z")


def test_exception_is_part_of_the_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    assert "ValueError: no" in json.loads(JsonLines().format(record))["exception"]
