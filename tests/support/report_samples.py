"""A job and its committed rounds, as the report gets them."""

from __future__ import annotations

from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.report import JobFacts

FACTS = JobFacts(
    name="digits",
    state="Complete",
    total_rounds=3,
    class_name="DigitNet",
    shards={"worker-0": "digits-0.zip", "worker-1": "digits-1.zip"},
    settings={"Batch size": 16},
)


def commit(number: int, **changes: object) -> Commit:
    """A round with two workers; keyword arguments replace its fields."""
    fields: dict[str, object] = {
        "round": number,
        "attempt": 1,
        "sha256": f"{number:064x}",
        "size": 41904,
        "participants": [
            Participant(name="worker-0", samples=700, seconds=1.5),
            Participant(name="worker-1", samples=450, seconds=0.5),
        ]
        if number
        else [],
        "metrics": {
            "accuracy": 0.5,
            "val_accuracy": 0.8 + number / 20,
            "val_loss": 1 / (1 + number),
        },
        "times": RoundTimes(train=1.5, aggregate=0.1, evaluate=0.2, commit=0.1, total=2.5),
        "started": "2026-11-24T10:00:00Z",
        "ended": f"2026-11-24T10:00:{10 + number % 40}Z",
    }
    return Commit.model_validate(fields | changes)
