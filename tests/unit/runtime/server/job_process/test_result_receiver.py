"""How large a worker's answer may be."""

from __future__ import annotations

import torch

from fedjob_runtime.server.job_process.result_receiver import FACTOR, SLACK_BYTES, answer_limit


def test_an_answer_may_have_twice_the_model_and_some() -> None:
    weights = {"a": torch.zeros(100), "b": torch.zeros(3, dtype=torch.int64)}
    assert answer_limit(weights) == FACTOR * (400 + 24) + SLACK_BYTES
