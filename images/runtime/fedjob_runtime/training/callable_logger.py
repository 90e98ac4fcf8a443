"""The logger that training functions get: a logger that can also be called, as some services do."""

from __future__ import annotations

import logging


class CallableLogger(logging.LoggerAdapter[logging.Logger]):
    """`logger.info("text")`, and `logger("text")` or `logger({"loss": 0.1})` for the same."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})

    def __call__(self, message: object, *args: object, **fields: object) -> None:
        """Logs at level INFO.

        Args:
            message: Text, a dict or anything else that can be shown.
            args: Fill a text's % placeholders, as in logging.
            fields: Added as name=value.
        """
        more = "".join(f" {name}={value!r}" for name, value in fields.items())
        if args:
            self.info(f"{message}{more.replace('%', '%%')}", *args)
        else:
            self.info("%s%s", message, more)
