"""Loss and metrics of classification."""

from __future__ import annotations

import pytest
import torch

from fedjob_runtime.training.classification import Tally, multi_label_loss, single_label_loss
from fedjob_runtime.training.errors import TrainFunctionInvalidError

LOGITS = torch.tensor([[2.0, -1.0, -3.0], [-2.0, -1.0, 3.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_multi_label_loss_is_the_mean_over_samples_and_classes() -> None:
    p = torch.sigmoid(LOGITS)
    expected = -(LABELS * p.log() + (1 - LABELS) * (1 - p).log()).mean()
    assert float(multi_label_loss(LOGITS, LABELS)) == pytest.approx(float(expected))


def test_single_label_loss_is_the_mean_over_samples() -> None:
    expected = -torch.log_softmax(LOGITS, 1)[[0, 1], [0, 1]].mean()
    assert float(single_label_loss(LOGITS, LABELS)) == pytest.approx(float(expected))


@pytest.mark.parametrize("loss", [multi_label_loss, single_label_loss])
@pytest.mark.parametrize(
    ("output", "named"),
    [(torch.zeros(2, 4), "[2, 4]"), (torch.zeros(6), "[6]"), ((LOGITS,), "tuple"), (None, "None")],
)
def test_an_output_of_another_form_is_refused_with_both_shapes(loss, output, named) -> None:
    with pytest.raises(TrainFunctionInvalidError) as caught:
        loss(output, LABELS)
    assert named in caught.value.problem
    assert "[2, 3]" in caught.value.problem
    assert "num_classes" in caught.value.fix


def test_single_label_accuracy_is_that_of_the_highest_logit() -> None:
    tally = Tally(single_label=True)
    tally.add(LOGITS, LABELS, torch.tensor(0.5))
    assert tally.metrics() == {"loss": 0.5, "accuracy": 0.5}


def test_multi_label_accuracy_is_over_all_pairs_and_has_an_f1() -> None:
    tally = Tally(single_label=False)
    tally.add(LOGITS, LABELS, torch.tensor(0.5))
    # Of 6 pairs 4 agree; 1 true positive among 2 predicted and 2 present.
    assert tally.metrics() == pytest.approx({"loss": 0.5, "accuracy": 4 / 6, "micro_f1": 0.5})


def test_f1_is_1_where_nothing_is_present_nor_predicted() -> None:
    tally = Tally(single_label=False)
    tally.add(torch.full((2, 3), -1.0), torch.zeros(2, 3), torch.tensor(0.1))
    assert tally.metrics()["micro_f1"] == 1.0


def test_batches_count_by_their_samples() -> None:
    tally = Tally(single_label=True)
    tally.add(LOGITS, LABELS, torch.tensor(1.0))
    tally.add(LOGITS[:1], LABELS[:1], torch.tensor(4.0))
    assert tally.samples == 3
    assert tally.metrics() == pytest.approx({"loss": 2.0, "accuracy": 2 / 3})


def test_counting_a_loss_keeps_no_graph() -> None:
    tally = Tally(single_label=True)
    tally.add(LOGITS, LABELS, torch.tensor(1.0, requires_grad=True))
    assert type(tally.loss) is float
