"""The table of `fedjob prune`."""

from __future__ import annotations

import io

from rich.console import Console

from fedjob.cli.display.pruned_table import PrunedLine, pruned_table

LINE = PrunedLine(
    namespace="team", name="digits", objects=3, bytes=2048, result_bytes=0, uploads=1,
    verdict="remove", removes=True, removes_results=False,
)  # fmt: skip


def shown(*, done: bool) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=200).print(pruned_table([LINE], done=done))
    return out.getvalue().splitlines()


def test_line_shows_what_is_removed_and_how_much() -> None:
    head, line = shown(done=False)
    assert head.split()[0] == "NAMESPACE"
    assert line.split()[:3] == ["team", "digits", "3"]
    assert line.rstrip().endswith("remove")
    assert shown(done=True)[1].rstrip().endswith("removed")


def test_line_for_a_script_has_bytes() -> None:
    assert LINE.as_json()["bytes"] == 2048
    assert LINE.as_json()["removesResults"] is False
