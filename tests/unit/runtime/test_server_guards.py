"""What guards the server: its limits, answers that are bounded, and the look for a newer server."""

from __future__ import annotations

import io
import os
import resource
import threading
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from nvflare.fuel.f3.message import Message
from nvflare.fuel.utils.fobs import FOBSContextKey
from safetensors.torch import save

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob.storage.errors import (
    ChecksumMismatchError,
    CorruptCommitError,
    FencedError,
    StoreUnreachableError,
    Where,
)
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.server.job_process.bounded_download import (
    AnswerFetch,
    AnswerTooLargeError,
    BoundedArrays,
    BoundedTensors,
)
from fedjob_runtime.server.job_process.result_receiver import FACTOR, SLACK_BYTES, answer_limit
from fedjob_runtime.server.supervisor.committer import Committer
from fedjob_runtime.server.supervisor.transport_limits import (
    MAX_MESSAGE_BYTES,
    communication,
    raise_file_limit,
)


def test_an_answer_may_have_twice_the_model_and_some() -> None:
    weights = {"a": torch.zeros(100), "b": torch.zeros(3, dtype=torch.int64)}
    assert answer_limit(weights) == FACTOR * (400 + 24) + SLACK_BYTES


def test_tensors_are_counted_over_all_that_one_answer_refers_to() -> None:
    item = save({"t": torch.zeros(250)})
    context: dict[str, Any] = {}
    for _ in range(2):
        consumer = BoundedTensors()
        consumer.begin(context, 3 * len(item))
        assert set(consumer.consume_items([item], None)) == {"t"}
    consumer = BoundedTensors()
    consumer.begin(context, 3 * len(item))
    with pytest.raises(AnswerTooLargeError, match=r"return model\.state_dict"):
        consumer.consume_items([item, item], None)
    assert consumer.too_large


def packed(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, t=array)
    return buffer.getvalue()


def test_arrays_are_counted_as_they_unpack() -> None:
    bomb = packed(np.zeros(1_000_000))
    assert len(bomb) < 20_000
    consumer = BoundedArrays()
    consumer.begin({}, 1_000_000)
    with pytest.raises(AnswerTooLargeError):
        consumer.consume_items([bomb], None)
    good = BoundedArrays()
    good.begin({}, 1_000_000)
    assert good.consume_items([packed(np.ones(10))], None)["t"].sum() == 10


def test_an_array_item_that_is_no_zip_is_refused() -> None:
    consumer = BoundedArrays()
    consumer.begin({}, 1_000_000)
    with pytest.raises(zipfile.BadZipFile):
        consumer.consume_items([b"\x80\x04pickled"], None)


def test_weights_are_fetched_from_the_worker_that_answered_alone() -> None:
    context = {FOBSContextKey.MESSAGE: Message({"__cellnet__.origin": "worker-1.job"}, None)}
    with pytest.raises(ValueError, match=r"refers to weights of worker-0\.job"):
        AnswerFetch(1).fetch(BoundedTensors(), context, "worker-0.job", {})


def test_the_server_s_limits() -> None:
    settings = communication(50)
    options = dict(settings["grpc"]["options"])
    assert settings["grpc"]["max_workers"] >= 2 * 2 * 50
    assert settings["streaming_max_blob_size"] == MAX_MESSAGE_BYTES < 1 << 30
    assert options["grpc.max_receive_message_length"] == MAX_MESSAGE_BYTES
    assert options["grpc.server_handshake_timeout_ms"] <= 20_000


def test_the_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
    try:
        assert raise_file_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Log:
    """A log of which each look finds what a test wants."""

    def __init__(self, *finds: FedjobError | None) -> None:
        self.finds = list(finds)

    def require_newest(self, attempt: int) -> None:
        found = self.finds.pop(0)
        if found is not None:
            raise found


def test_a_server_with_nothing_to_commit_looks_for_a_newer_one(tmp_path: Path) -> None:
    """It may have been paused while its workers went to another; a store out of reach is no end."""
    away = StoreUnreachableError(Where("b", "AWS"), "no answer", "check it")
    newer = FencedError("attempt 2 has started; stop this one")
    told: list[tuple[str, FedjobError]] = []
    ended = threading.Event()

    def tell(what: str, found: FedjobError) -> None:
        told.append((what, found))
        ended.set()

    log = Log(None, away, None, newer)
    committer = Committer(
        cast(RoundLog, log),
        Handover(tmp_path),
        1,
        0,
        lambda _: None,
        lambda found: tell("fenced", found),
        lambda found: tell("failed", found),
        fence_seconds=0.01,
    )
    committer.start()
    assert ended.wait(30), os.listdir(tmp_path)
    committer.drain(10)
    assert told == [("fenced", newer)]
    assert log.finds == []


def test_the_store_s_errors_have_reasons_of_the_catalogue() -> None:
    where = Where("b", "AWS", "k")
    altered = ChecksumMismatchError(where, "altered", "restore it")
    assert altered.reason is Reason.CHECKSUM_MISMATCH
    assert FencedError("x").reason is Reason.FENCED
    assert CorruptCommitError("x").reason is Reason.ROUND_LOG_CORRUPT
    assert StoreUnreachableError(where, "x", "y").reason is Reason.STORE_UNREACHABLE
