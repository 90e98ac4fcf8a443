"""`fedjob completion`; integration/test_shell_completion.py runs the scripts in their shells."""

import pytest
from typer.testing import CliRunner

from fedjob.cli.app import app


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_asks_the_program(shell):
    found = CliRunner().invoke(app, ["completion", shell])
    assert found.exit_code == 0
    assert f"_FEDJOB_COMPLETE=complete_{shell}" in found.output


def test_zsh_completes_where_it_loads_the_script_at_the_first_key():
    found = CliRunner().invoke(app, ["completion", "zsh"]).output
    assert found.splitlines()[0] == "#compdef fedjob", "zsh reads the first line only"
    assert found.rstrip().endswith('_fedjob_completion "$@"\nfi')
    assert "funcstack" not in CliRunner().invoke(app, ["completion", "bash"]).output
