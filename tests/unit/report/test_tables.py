"""Every round and every client as rows."""

from __future__ import annotations

from fedjob.protocol.commit import ClientFailure
from fedjob.report.tables import ABSENT, MOST_METRICS, MOST_ROWS, clients_table, rounds_table
from support.report_samples import FACTS, commit


def cells(table):
    return [dict(zip(table.heads, row, strict=True)) for row in table.rows]


def test_one_row_a_round() -> None:
    table = rounds_table([commit(0), commit(1, metrics={})])
    initial, first = cells(table)
    assert (initial["Round"], initial["Clients"], initial["Samples"]) == (
        "0 (initial)", ABSENT, ABSENT
    )  # fmt: skip
    assert (first["Clients"], first["Samples"], first["val_loss"]) == ("2", "1,150", ABSENT)
    assert (first["Train"], first["Other"], first["Model"]) == ("1.50 s", "0.60 s", f"{1:064x}")
    assert len(table.kinds) == len(table.heads)
    assert table.kinds[-1] == "sha256"


def test_many_metrics_and_rounds_are_limited_and_the_note_counts_the_rounds() -> None:
    metrics = {f"m{i}": 1.0 for i in range(MOST_METRICS + 5)}
    table = rounds_table([commit(n, metrics=metrics) for n in range(MOST_ROWS + 500)])
    assert len(table.rows) == MOST_ROWS
    assert table.note == "1,001 of 1,501 rounds, evenly picked."
    assert sum(head.startswith("m") for head in table.heads) == MOST_METRICS


def test_client_that_never_answered_has_a_row() -> None:
    failure = ClientFailure(name="worker-1", reason="Lost", message="gone")
    shards = {**FACTS.shards, "worker-2": "c.zip"}
    rows = cells(clients_table([commit(1), commit(2, failures=[failure])], shards))
    assert [row["Client"] for row in rows] == ["worker-0", "worker-1", "worker-2"]
    assert (rows[1]["Rounds"], rows[1]["Failures"], rows[1]["Median"]) == ("2", "1", "0.50 s")
    assert (rows[2]["Rounds"], rows[2]["Samples"], rows[2]["Fastest"]) == ("0", ABSENT, ABSENT)
