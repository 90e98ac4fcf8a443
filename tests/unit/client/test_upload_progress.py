"""The bar of an upload: drawn where a person looks, and nowhere else."""

import io
import sys

from rich.console import Console

from fedjob.client.upload_progress import UploadProgress


def drawn(shown, terminal=True):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    with UploadProgress("digits", shown, console) as progress:
        progress.note("team/digits created")
        progress.uploaded(0, 2_000_000)
        progress.uploaded(2_000_000, 2_000_000)
    return text.getvalue()


def test_bar_shows_bytes_and_the_job():
    text = drawn(None)
    assert "team/digits created" in text
    assert "upload digits" in text
    assert "2.0/2.0 MB" in text


def test_notebook_without_ipywidgets_shows_text_and_no_warning(monkeypatch, capsys, recwarn):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with UploadProgress("digits", shown=True) as progress:
        progress.uploaded(0, 2_000_000)
        progress.uploaded(2_000_000, 2_000_000)
    assert "2.0/2.0 MB" in capsys.readouterr().err
    assert not recwarn.list


def test_nothing_is_drawn_without_a_terminal_or_on_request():
    assert drawn(None, terminal=False) == ""
    assert drawn(False) == ""
    assert "upload digits" in drawn(True, terminal=False)
