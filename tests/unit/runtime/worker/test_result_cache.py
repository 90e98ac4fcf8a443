"""The worker's last answers: found for the very same task only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedjob_runtime.training.weights import digest
from fedjob_runtime.worker.result_cache import Answer, AnswerStore

ANSWER = Answer(
    weights={"fc.weight": torch.tensor([[1.5, -2.0]]), "steps": torch.tensor(7)},
    samples=12,
    metrics={"loss": 0.25},
    warnings=["DtypeConverted: fc.weight"],
    partial=True,
)


@pytest.fixture
def store(tmp_path: Path) -> AnswerStore:
    return AnswerStore(tmp_path)


def test_an_answer_is_found_again_whole(store: AnswerStore, tmp_path: Path) -> None:
    store.keep(3, "sha", ANSWER)
    found = AnswerStore(tmp_path).find(3, "sha")
    assert found is not None
    assert found.weights.keys() == ANSWER.weights.keys()
    for name, tensor in ANSWER.weights.items():
        assert torch.equal(found.weights[name], tensor)
        assert found.weights[name].dtype == tensor.dtype
    assert (found.samples, found.metrics) == (12, {"loss": 0.25})
    assert found.warnings == ["DtypeConverted: fc.weight"]
    assert found.partial is True


@pytest.mark.parametrize(("round_number", "base"), [(4, "sha"), (3, "other"), (3, "")])
def test_another_task_has_no_answer(store: AnswerStore, round_number: int, base: str) -> None:
    store.keep(3, "sha", ANSWER)
    assert store.find(round_number, base) is None


def test_a_task_without_a_base_is_not_kept(store: AnswerStore, tmp_path: Path) -> None:
    store.keep(3, "", ANSWER)
    assert list(tmp_path.rglob("*")) == []


def test_the_answer_to_a_changed_model_replaces_the_one_before(store: AnswerStore) -> None:
    store.keep(3, "sha", ANSWER)
    store.keep(3, "new", ANSWER)
    assert store.find(3, "sha") is None
    assert store.find(3, "new") is not None


def test_the_last_two_rounds_are_kept(store: AnswerStore) -> None:
    for round_number in (8, 9, 10):
        store.keep(round_number, "sha", ANSWER)
    assert [n for n in (8, 9, 10) if store.find(n, "sha")] == [9, 10]


def test_weights_without_their_description_do_not_count(store: AnswerStore, tmp_path: Path) -> None:
    """A crash between the two files leaves this."""
    store.keep(3, "sha", ANSWER)
    (tmp_path / "answers" / "3" / "answer.json").unlink()
    assert store.find(3, "sha") is None
    store.keep(3, "sha", ANSWER)
    assert store.find(3, "sha") is not None


def test_an_answer_of_an_older_version_is_a_whole_model(store: AnswerStore, tmp_path: Path) -> None:
    store.keep(3, "sha", ANSWER)
    path = tmp_path / "answers" / "3" / "answer.json"
    value = json.loads(path.read_text())
    del value["partial"]
    path.write_text(json.dumps(value))
    found = store.find(3, "sha")
    assert found is not None
    assert found.partial is False


def test_damaged_answer_is_not_sent_again(store: AnswerStore, tmp_path: Path) -> None:
    answer = replace(ANSWER, sha256=digest(ANSWER.weights))
    store.keep(3, "sha", answer)
    found = store.find(3, "sha")
    assert found is not None
    assert found.sha256 == answer.sha256
    path = tmp_path / "answers" / "3" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert store.find(3, "sha") is None
