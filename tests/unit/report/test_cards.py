"""The figures at the top of the page."""

from __future__ import annotations

import dataclasses

import pytest

from fedjob.report.cards import all_cards, wall_seconds
from support.report_samples import FACTS, commit


def by_label(facts, commits):
    return {card.label: card for card in all_cards(facts, commits)}


def test_cards_of_a_complete_run() -> None:
    cards = by_label(FACTS, [commit(n) for n in range(4)])
    assert [*cards] == [
        "State", "Rounds", "val_accuracy", "Samples a round", "Wall time", "Model of round 3"
    ]  # fmt: skip
    assert (cards["State"].value, cards["State"].tone) == ("Complete", "good")
    rounds = cards["Rounds"]
    assert (rounds.value, rounds.total, rounds.percent) == ("3", "3", 100)
    assert cards["val_accuracy"].beside == "round 3, the best so far"
    assert cards["Samples a round"].beside == "from 2 workers in round 3"
    assert cards["Wall time"].beside == "2.50 s a round, median"
    assert cards["Model of round 3"].sha256 == f"{3:064x}"


def test_best_round_is_named_where_it_is_not_the_last() -> None:
    commits = [commit(1, metrics={"accuracy": 0.9}), commit(2, metrics={"accuracy": 0.5})]
    assert by_label(FACTS, commits)["accuracy"].beside == "round 2; best 0.9000 in round 1"


def test_before_the_first_commit_only_state_and_rounds_are_known() -> None:
    assert [*by_label(FACTS, [])] == ["State", "Rounds"]


def test_every_card_has_at_most_one_note() -> None:
    for card in all_cards(dataclasses.replace(FACTS, reason="Odd"), [commit(1)]):
        notes = [card.beside, card.reason, card.sha256, card.percent is not None]
        assert sum(map(bool, notes)) <= 1, card


@pytest.mark.parametrize(
    ("state", "tone"), [("Failed", "bad"), ("Suspended", "warn"), ("Training", "busy")]
)
def test_tone_follows_the_state(state: str, tone: str) -> None:
    assert by_label(dataclasses.replace(FACTS, state=state), [])["State"].tone == tone


@pytest.mark.parametrize(
    ("started", "ended", "given", "expected"),
    [
        ("2026-11-24T10:00:00Z", "2026-11-24T11:02:03Z", None, 3723.0),
        ("2026-11-24T10:00:00Z", "2026-11-24T09:00:00Z", None, 0.0),
        ("2026-11-24T10:00:00Z", "2026-11-24T11:02:03Z", 4.25, 4.25),
        ("yesterday", "2026-11-24T11:02:03Z", None, None),
        ("2026-11-24T10:00:00", "2026-11-24T11:02:03Z", None, None),
    ],
)
def test_wall_time(started: str, ended: str, given: float | None, expected: float | None) -> None:
    facts = dataclasses.replace(FACTS, wall_seconds=given)
    assert wall_seconds(facts, [commit(1, started=started, ended=ended)]) == expected


def test_wall_time_that_is_not_known_has_no_card() -> None:
    assert "Wall time" not in by_label(FACTS, [commit(1, started="yesterday")])
