"""The logger of training functions is a logger and can be called."""

from __future__ import annotations

import logging

import pytest

from fedjob_runtime.training.callable_logger import CallableLogger


def test_call_and_methods_write_to_the_same_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = CallableLogger(logging.getLogger("mine"))
    with caplog.at_level(logging.INFO, "mine"):
        logger("100 % done")
        logger({"loss": 0.5})
        logger("epoch %d of %d", 1, 2)
        logger("epoch", loss=0.5)
        logger.info("plain %s", "text")
        logger.warning("careful")
    assert caplog.messages == [
        "100 % done",
        "{'loss': 0.5}",
        "epoch 1 of 2",
        "epoch loss=0.5",
        "plain text",
        "careful",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO"] * 5 + ["WARNING"]
