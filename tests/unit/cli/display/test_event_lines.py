"""Lines for logs and pipes."""

import io

from rich.console import Console

from fedjob.cli.display.event_lines import EventLines


def lines_of(use, **options):
    console = Console(file=io.StringIO(), width=80)
    use(EventLines(console, clock=iter([5.0, *range(7, 100)]).__next__, **options))
    return console.file.getvalue().splitlines()


def test_seconds_count_from_the_start():
    assert lines_of(lambda lines: lines.line("a [b]")) == ["[    2.0s] a [b]"]
    assert lines_of(lambda lines: lines.note("careful", warning=True), began=1.0) == [
        "[    4.0s] warning: careful"
    ]


def test_upload_has_a_line_for_every_tenth():
    def use(lines):
        for done in (0, 1, 9, 15, 100):
            lines.uploaded(done, 100)

    shown = [line.partition("] ")[2] for line in lines_of(use)]
    assert shown == ["uploaded 0 B of 100 B", "uploaded 15 B of 100 B", "uploaded 100 B of 100 B"]
