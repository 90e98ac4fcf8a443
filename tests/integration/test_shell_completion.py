"""The scripts of `fedjob completion` in real shells, installed as docs/reference/cli.md says."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAMS = Path(sys.executable).parent
PLACES = {
    "bash": ".local/share/bash-completion/completions/fedjob",
    "zsh": ".zfunc/_fedjob",
    "fish": ".config/fish/completions/fedjob.fish",
}
PATIENCE_SECONDS = 60.0
ZSHRC = """
PS1='ready> '
fpath=(~/.zfunc $fpath)
autoload -Uz compinit
compinit
"""


def require(shell: str) -> None:
    if shutil.which(shell) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {shell}: tests/programs.sh installs it")
        pytest.skip(f"{shell} is not installed: run tests/programs.sh")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home in which every script is installed, and the program on PATH."""
    for shell, place in PLACES.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        command = [PROGRAMS / "fedjob", "completion", shell]
        path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    (tmp_path / ".zshrc").write_text(ZSHRC)
    path_variable = f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin"
    return {"HOME": str(tmp_path), "PATH": path_variable, "TERM": "dumb", "LANG": "C.UTF-8"}


def test_bash_completes_commands_and_options(environment: dict[str, str]) -> None:
    require("bash")
    script = (
        f"source ~/{PLACES['bash']}\n"
        "COMP_WORDS=(fedjob submit --sh); COMP_CWORD=2; COMP_LINE='fedjob submit --sh'\n"
        "$(complete -p fedjob | sed 's/.*-F \\([^ ]*\\) .*/\\1/') fedjob\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["--shards"], done.stderr


def test_fish_completes_commands_and_options(environment: dict[str, str]) -> None:
    require("fish")
    script = 'complete -C "fedjob su"; complete -C "fedjob submit --sh"'
    done = subprocess.run(["fish", "-c", script], env=environment, capture_output=True, text=True)
    found = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert found == ["submit", "suspend", "--shards"], done.stderr


def test_zsh_completes_at_the_first_key_and_at_later_ones(environment: dict[str, str]) -> None:
    """zsh loads the script when it is first used, and must complete with it at once."""
    require("zsh")
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-i"], stdin=inner, stdout=inner, stderr=inner, env=environment,
        start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    try:
        read_until(terminal, "ready> ")
        os.write(terminal, b"fedjob sus\t")
        read_until(terminal, "pend")
        os.write(terminal, b"\x15fedjob submit --sh\t")
        read_until(terminal, "ards")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def read_until(terminal: int, text: str) -> None:
    """Read what the terminal shows until the text is there."""
    shown = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while text not in shown:
        if time.monotonic() > deadline:
            pytest.fail(f"{text!r} does not appear in {shown!r}")
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
