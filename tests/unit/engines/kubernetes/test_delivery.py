"""Which round is the best."""

import pytest

from fedjob.engines.kubernetes.delivery import best_of, best_round, model_name
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.engines.result import RoundLine
from fedjob.errors import InvalidInputError


def history(*values, name="val_accuracy"):
    return [
        RoundLine(round=number, clients=1, samples=1, metrics={name: value}, seconds=1)
        for number, value in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("rounds", "best"),
    [
        (history(0.1, 0.9, 0.9), 2),
        (history(0.5, 0.2, 0.3, name="val_loss"), 2),
        (history(0.5, 0.2, 0.3, name="word_error_rate"), 2),
        (history(None, 0.2), 2),
        (history(None, None), None),
        ([], None),
    ],
)
def test_more_is_better_but_of_losses_less(rounds, best):
    assert best_of(rounds) == best


def test_run_without_metrics_asks_for_a_number(fake, jobs):
    fake.put("digits")
    with pytest.raises(InvalidInputError, match="give --round N"):
        best_round(KubernetesHandle(jobs, "digits"))


def test_file_names_the_round():
    assert model_name(3) == "round-3.safetensors"
