"""Which charts there are, and their descriptions."""

from __future__ import annotations

from fedjob.protocol.commit import Participant, RoundTimes
from fedjob.report.charts import MOST_CLIENT_BARS, MOST_LINES, all_charts, describe, spread
from fedjob.report.series import Series
from support.report_samples import commit


def by_key(commits):
    return {chart.key: chart for chart in all_charts(commits, {})}


def test_every_kind_of_chart_and_the_table_with_its_data() -> None:
    charts = by_key([commit(n) for n in range(4)])
    assert {key: chart.table for key, chart in charts.items()} == {
        "metrics-0": "rounds",
        "metrics-1": "rounds",
        "phases": "rounds",
        "clients-seconds": "clients",
        "samples": "clients",
    }
    assert charts["phases"].description == (
        "3 rounds took 7.50 s together: train 4.50 s, aggregate 0.30 s, evaluate 0.60 s, "
        "commit 0.30 s, other 1.80 s."
    )


def test_charts_without_data_are_left_out() -> None:
    assert all_charts([], {}) == []
    empty = commit(1, metrics={}, times=RoundTimes(), participants=[])
    assert all_charts([empty], {}) == []


def test_more_lines_than_colours_are_in_the_table_only() -> None:
    metrics = {f"m{i}": 0.5 for i in range(MOST_LINES + 3)}
    chart = by_key([commit(1, metrics=metrics)])["metrics-0"]
    assert len(chart.legend) == MOST_LINES
    assert "3 more are in the table." in chart.note


def test_validation_and_training_share_a_colour_and_differ_in_stroke() -> None:
    chart = by_key([commit(1), commit(2)])["metrics-0"]
    assert {entry.name: entry.mark for entry in chart.legend} == {
        "val_accuracy": "stroke c0",
        "accuracy": "stroke c0 dashed",
    }


def test_many_clients_are_drawn_as_their_spread() -> None:
    crowd = [Participant(name=f"worker-{i}", samples=i + 1, seconds=i + 1) for i in range(64)]
    charts = by_key([commit(n, participants=crowd) for n in (1, 2)])
    assert [entry.name for entry in charts["clients-seconds"].legend] == [
        "slowest", "median", "fastest"
    ]  # fmt: skip
    assert len(charts["samples"].plot.rows) == MOST_CLIENT_BARS


def test_spread_is_taken_in_each_round() -> None:
    lines = [Series("a", ((1, 1.0), (2, 9.0))), Series("b", ((1, 3.0),)), Series("c", ((1, 2.0),))]
    assert {line.name: line.points for line in spread(lines)} == {
        "slowest": ((1, 3.0), (2, 9.0)),
        "median": ((1, 2.0), (2, 9.0)),
        "fastest": ((1, 1.0), (2, 9.0)),
    }


def test_description_names_first_last_and_best() -> None:
    line = Series("loss", ((0, 2.0), (1, 0.5), (2, 1.0)))
    assert describe(line) == "loss: 2.000 in round 0, 1.000 in round 2, best 0.5000 in round 1."
