"""Where output goes: results to stdout, everything about the way there to stderr."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from fedjob.errors import EXIT_INTERRUPTED, FedjobError, InvalidInputError

_WIDE = 10_000


def error_console() -> Console:
    """Progress, notes and errors."""
    return Console(stderr=True, highlight=False)


def output_console() -> Console:
    """Results that a person reads."""
    return Console(highlight=False)


def table_console() -> Console:
    """Tables that a person or `awk` reads: on a terminal cut at its edge, elsewhere whole."""
    console = output_console()
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def print_json(value: Mapping[str, object]) -> None:
    """One JSON object on stdout: all that a script gets to read there."""
    sys.stdout.write(json_module.dumps(value, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def error_json(error: FedjobError) -> dict[str, object]:
    """An error as a script reads it."""
    faults = error.faults if isinstance(error, InvalidInputError) else ()
    return {
        "error": str(error),
        "reason": str(error.reason),
        "exitCode": error.exit_code,
        "faults": [{"field": f.field, "problem": f.problem, "fix": f.fix} for f in faults],
    }


@contextmanager
def errors_as_json(json: bool) -> Iterator[None]:
    """Prints an error of the block for scripts; the entry point then shows it to people.

    Args:
        json: Whether the command was called with --json.
    """
    try:
        yield
    except FedjobError as error:
        if json:
            print_json(error_json(error))
        raise


def show_error(error: FedjobError, console: Console | None = None) -> None:
    """Print an error: field, problem and fix of each fault; no traceback."""
    console = console or error_console()
    if error.exit_code == EXIT_INTERRUPTED:
        console.print(Text(str(error), style="yellow"), soft_wrap=True)
        return
    if not isinstance(error, InvalidInputError):
        console.print(Text(f"error: {error}", style="red"), soft_wrap=True)
        return
    count = len(error.faults)
    console.print(Text(f"error: {count} fault{'s' * (count != 1)}", style="bold red"))
    for fault in error.faults:
        text = Text("  ")
        text.append(fault.field, style="bold")
        text.append(f"\n    {fault.problem}", style="red")
        text.append(f"\n    fix: {fault.fix}")
        console.print(text, soft_wrap=True)
