"""`fedjob completion`: the shell's completion of commands, options and jobs."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_COMPLETE_NOW = """
# zsh runs this file at the first completion: it must complete then, too.
if [[ $funcstack[1] == _fedjob ]]; then
  _fedjob_completion "$@"
fi
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "Example: fedjob completion bash > ~/.local/share/bash-completion/completions/fedjob"
    app.command("completion", epilog=example)(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print the completion script of a shell: commands, options and the names of jobs."""
    from typer._completion_classes import completion_init
    from typer._completion_shared import get_completion_script

    completion_init()
    script = get_completion_script(
        prog_name="fedjob", complete_var="_FEDJOB_COMPLETE", shell=str(shell)
    )
    sys.stdout.write(f"{script}\n")
    if shell is Shell.ZSH:
        sys.stdout.write(_COMPLETE_NOW)
