"""What the entry point does around every command."""

import os
import subprocess
import sys
from pathlib import Path


def test_output_that_cannot_hold_a_letter_escapes_it(tmp_path):
    code = (
        "import sys; import fedjob.cli.app as app;"
        "app.app = lambda: print('m\\u00fcller \\u2713'); app.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, b"m\\xfcller \\u2713\n"), done.stderr


def test_shell_completes_commands_with_the_printed_script(tmp_path):
    program = Path(sys.executable).parent / "fedjob"
    script = subprocess.run([program, "completion", "bash"], capture_output=True, text=True)
    assert "_FEDJOB_COMPLETE=complete_bash" in script.stdout
    found = subprocess.run(
        [program],
        env={**os.environ, "COMP_WORDS": "fedjob su", "COMP_CWORD": "1",
             "_FEDJOB_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert found.stdout.split() == ["submit", "suspend"], found.stderr


def test_kubectl_plugin_shows_what_a_person_types(tmp_path):
    code = (
        "import sys; sys.argv = ['/bin/kubectl-fedjob', 'list', '--help'];"
        "import fedjob.cli.app as app; app.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Usage: kubectl fedjob list" in done.stdout, done.stderr
