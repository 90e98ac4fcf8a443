"""What the entry point does around every command."""

import os
import subprocess
import sys


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
