"""The committed rounds as results show them."""

from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.history import History, history_json, round_lines

TIME = "2026-01-02T03:00:00Z"


def commit(number: int, **more: object) -> Commit:
    fields = {"attempt": 1, "sha256": "0" * 64, "size": 1, "started": TIME, "ended": TIME}
    return Commit.model_validate({"round": number, **fields, **more})


def test_lines_are_in_order_without_the_initial_model() -> None:
    worker = Participant(name="worker-0", samples=7)
    times = RoundTimes(total=1.23456)
    commits = [commit(2, participants=[worker], times=times, metrics={"loss": 0.5}), commit(0),
               commit(1)]  # fmt: skip
    first, second = round_lines(commits)
    assert (first.round, first.clients, first.samples) == (1, 0, 0)
    assert (second.round, second.clients, second.samples, second.seconds) == (2, 1, 7, 1.235)
    assert second.metrics == {"loss": 0.5}


def test_history_is_read_back_also_from_a_newer_version() -> None:
    text = history_json([commit(0), commit(1)])
    assert [line.round for line in History.model_validate_json(text).rounds] == [1]
    assert History.model_validate_json('{"later": 1}').rounds == []
