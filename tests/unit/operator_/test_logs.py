"""Logs as JSON lines."""

from __future__ import annotations

import json
import logging

from fedjob_operator.logs import JsonLines


def test_log_line_is_one_json_object() -> None:
    record = logging.makeLogRecord({"msg": "hello %s", "args": ("you",), "job": "team/digits"})
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["job"]) == ("hello you", "team/digits")
