"""The best round and the early stop, as a fold over the committed rounds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedjob.protocol.commit import Commit, Standing
from fedjob.protocol.standing import is_over, ranking, standing_after, stopped_at
from fedjob.spec.models.federation import FederationConfig


def commit_of(number: int, value: float | None) -> Commit:
    return Commit(
        round=number,
        attempt=1,
        sha256=f"{number:064x}",
        size=number,
        metrics={} if value is None else {"m": value},
        started="2027-01-15T08:00:00Z",
        ended="2027-01-15T08:00:01Z",
    )


def federation(rounds: int = 10, **stop: Any) -> FederationConfig:
    return FederationConfig.model_validate(
        {"num_rounds": rounds, "stop_when": {"metric": "m", **stop}}
    )


def folded(
    values: list[float | None], config: FederationConfig, before: Standing | None = None
) -> list[Standing]:
    """The standings of rounds 1 and up, until the run is over."""
    found: list[Standing] = []
    for number, value in enumerate(values, 1):
        before = standing_after(commit_of(number, value), before, config)
        assert before is not None
        found.append(before)
        if before.stopped is not None:
            break
    return found


def test_rounds_are_not_compared_unless_the_job_asks() -> None:
    assert standing_after(commit_of(1, 0.5), None, FederationConfig()) is None
    assert ranking(FederationConfig()) is None


def test_initial_model_is_not_a_round() -> None:
    assert standing_after(commit_of(0, 0.5), None, federation(at_least=0.1)) is None


@pytest.mark.parametrize(
    ("stop", "mode"),
    [
        ({"at_least": 0.5}, "max"),
        ({"at_most": 0.5}, "min"),
        ({"patience": 2, "mode": "max"}, "max"),
        ({"patience": 2, "mode": "min"}, "min"),
    ],
)
def test_direction_follows_the_threshold_or_the_mode(stop: dict[str, Any], mode: str) -> None:
    found = ranking(federation(**stop))
    assert found is not None
    assert found.mode == mode


def test_best_model_alone_never_stops() -> None:
    config = FederationConfig.model_validate({"best_model": {"metric": "m", "mode": "max"}})
    found = folded([0.5, 0.9, 0.1, 0.1, 0.1], config)
    assert [each.stopped for each in found] == [None] * 5
    assert found[-1].best is not None
    assert (found[-1].best.round, found[-1].best.sha256) == (2, f"{2:064x}")


def test_threshold_is_met_when_it_is_reached() -> None:
    assert [s.stopped for s in folded([0.1, 0.5, 0.9], federation(at_least=0.5))] == [None, 10]
    assert [s.stopped for s in folded([0.9, 0.5, 0.1], federation(at_most=0.5))] == [None, 10]


def test_patience_counts_rounds_since_the_best() -> None:
    found = folded([0.9, 0.5, 0.6, 0.5, 0.7], federation(patience=3, mode="min"))
    assert [each.waited for each in found] == [0, 0, 1, 2, 3]
    assert found[-1].stopped == 10
    assert found[-1].best is not None
    assert found[-1].best.round == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_value_that_is_not_finite_is_never_the_best_nor_meets_a_threshold(
    value: float | None,
) -> None:
    commit = commit_of(1, 0.5)
    metrics = {} if value is None else {"m": value}
    odd = commit.model_copy(update={"metrics": metrics})
    for stop in ({"at_least": -1.0}, {"at_most": 1.0}):
        found = standing_after(odd, None, federation(**stop))
        assert found == Standing(best=None, waited=1, stopped=None)


def test_metric_that_never_comes_ends_the_patience() -> None:
    found = folded([None] * 5, federation(patience=3, mode="max"))
    assert (len(found), found[-1].best, found[-1].stopped) == (3, None, 10)


def test_stop_holds_until_num_rounds_is_raised_and_patience_begins_again() -> None:
    ended = folded([0.5, 0.6, 0.7], federation(patience=2, mode="min"))[-1]
    last = commit_of(3, 0.7).model_copy(update={"standing": ended})
    assert stopped_at(last) == 10
    assert is_over(last, 10)
    assert not is_over(last, 11)
    more = federation(11, patience=2, mode="min")
    fourth = standing_after(commit_of(4, 0.8), ended, more)
    assert fourth is not None
    assert (fourth.waited, fourth.stopped) == (1, None)
    fifth = standing_after(commit_of(5, 0.9), fourth, more)
    assert fifth is not None
    assert fifth.stopped == 11
    assert fifth.best == ended.best


def test_threshold_that_is_still_met_stops_after_one_more_round() -> None:
    ended = folded([0.9], federation(at_least=0.8))[-1]
    again = standing_after(commit_of(2, 0.85), ended, federation(20, at_least=0.8))
    assert again is not None
    assert again.stopped == 20


@pytest.mark.parametrize("change", [{"metric": "other"}, {"at_least": None, "at_most": 0.1}])
def test_another_metric_or_direction_begins_the_comparison_again(change: dict[str, Any]) -> None:
    before = folded([0.5], federation(at_least=0.9))[-1]
    config = federation(**{"at_least": 0.9, **change})
    by = ranking(config)
    assert by is not None
    commit = commit_of(2, 0.2).model_copy(update={"metrics": {by.metric: 0.2}})
    after = standing_after(commit, before, config)
    assert after is not None
    assert after.best is not None
    assert (after.best.round, after.best.mode) == (2, by.mode)


VALUES = st.lists(st.none() | st.floats(-10, 10), min_size=1, max_size=30)


@given(VALUES, st.sampled_from(["min", "max"]), st.integers(1, 6))
def test_fold_agrees_with_a_look_at_the_whole_history(
    values: list[float | None], mode: str, patience: int
) -> None:
    found = folded(values, federation(100, patience=patience, mode=mode))
    seen = values[: len(found)]
    known = [(value if mode == "max" else -value, -n) for n, value in enumerate(seen, 1)
             if value is not None]  # fmt: skip
    best = found[-1].best
    assert (best.round if best is not None else None) == (-max(known)[1] if known else None)
    since = len(seen) - (best.round if best is not None else 0)
    assert found[-1].waited == since
    assert (found[-1].stopped is not None) == (since >= patience)


@given(VALUES, st.integers(0, 30))
def test_server_that_starts_from_the_last_commit_decides_the_same(
    values: list[float | None], cut: int
) -> None:
    config = federation(100, patience=3, mode="min")
    whole = folded(values, config)
    cut = min(cut, len(whole) - 1)
    commits = [
        commit_of(number, value).model_copy(update={"standing": standing})
        for number, (value, standing) in enumerate(zip(values, whole, strict=False), 1)
    ]
    before = None
    if cut:
        read = Commit.model_validate_json(commits[cut - 1].as_object())
        before = read.standing
    for commit in commits[cut:]:
        before = standing_after(commit.model_copy(update={"standing": None}), before, config)
        assert before == commit.standing
