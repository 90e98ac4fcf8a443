"""Logs as JSON, one object a line: time, level, logger, message and the extra fields."""

from __future__ import annotations

import json
import logging
import sys

from fedjob.formats import rfc3339

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET = (
    "kopf",
    "aiohttp",
    "botocore",
    "boto3",
    "urllib3",
    "asyncio",
    "kubernetes",
    "docker",
)


class JsonLines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": rfc3339(record.created, "milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD and k[:1] != "_"}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_json(level: str = "INFO") -> None:
    """Sends all logs to stdout as JSON; those of libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        # kopf logs every event at INFO.
        logging.getLogger(name).setLevel(logging.WARNING)
