"""Answers are fetched from their worker alone, and no more of them than the model allows."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.fuel.f3.message import Message
from nvflare.fuel.utils.fobs import FOBSContextKey
from safetensors.torch import save

from fedjob_runtime.server.job_process.bounded_download import (
    AnswerFetch,
    AnswerTooLargeError,
    BoundedArrays,
    BoundedTensors,
)


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
