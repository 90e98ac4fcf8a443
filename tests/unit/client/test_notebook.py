"""A run in a notebook, in IPython's own shell."""

import html.parser
import sys
import types
from datetime import UTC, datetime

import pytest

from fedjob.client.notebook import LiveView, run_html
from fedjob.engines.result import RoundLine
from fedjob.engines.run_status import ClientInfo, RunStatus
from fedjob.spec.models.status import JobState


def status(**changes):
    fields = {
        "name": "digits",
        "state": JobState.TRAINING,
        "completed": 2,
        "total": 4,
        "connected": 1,
        "expected": 2,
        "metrics": {"loss": 0.25},
        "clients": [
            ClientInfo(name="worker-0", shard="<b>.zip", state="Training", samples=1234),
            ClientInfo(name="worker-1", state="Lost", restarts=2, message='"silent"'),
        ],
        "eta": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "retries": {"s3": 2, "grpc": 1},
    }
    return RunStatus(**fields | changes)


def rounds(count=2):
    return [
        RoundLine(round=n, clients=1, samples=1, metrics={"loss": 1 / n, "odd": None}, seconds=1)
        for n in range(1, count + 1)
    ]


class Checker(html.parser.HTMLParser):
    """Tags that are opened are closed, in order."""

    EMPTY = frozenset({"path", "line", "circle"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag != "script"
        assert not [name for name, value in attrs if name in ("src", "href") or name[:2] == "on"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.mark.parametrize("count", [0, 1, 5])
def test_html_is_whole_and_says_what_is_known(count):
    page = run_html(status(), rounds(count))
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    for text in ("digits", "Training", "round 2/4", "clients 1/2", "loss 0.25", "03:04 UTC",
                 "retries 3", "1,234", "&lt;b&gt;.zip", "&#34;silent&#34;"):  # fmt: skip
        assert text in page
    assert ("<svg" in page) == (count > 0)
    assert 'aria-valuenow="50"' in page


def test_failed_run_shows_its_reason_and_message():
    page = run_html(status(state=JobState.FAILED, reason="OutOfMemory", message="smaller"), [])
    assert "OutOfMemory: smaller" in page
    assert 'class="fj-state bad"' in page
    assert "UTC" not in page


def test_run_that_is_not_known():
    assert "no cluster" in run_html(None, (), "no cluster")


def test_many_clients_are_cut_short():
    clients = [ClientInfo(name=f"worker-{number}") for number in range(50)]
    page = run_html(status(clients=clients), [])
    assert page.count('<th scope="row">') == 20
    assert "and 30 more" in page


def test_nothing_is_drawn_outside_of_a_notebook(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    LiveView.open().show(status(), rounds())
    terminal = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    LiveView.open().show(status(), rounds())
    assert capsys.readouterr().out == ""


def test_followed_run_is_drawn_once_and_updated():
    """In a real shell of IPython, with the publisher that a kernel puts in."""
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.kernel = object()
    before, shell.display_pub = shell.display_pub, CapturingDisplayPublisher(shell=shell)
    try:
        view = LiveView.open()
        view.show(status(completed=1), rounds(1))
        view.show(status(completed=2), rounds(2))
        outputs = shell.display_pub.outputs
    finally:
        shell.display_pub = before
        del shell.kernel
        InteractiveShell.clear_instance()
    assert [output.get("update", False) for output in outputs] == [False, True]
    ids = {output["transient"]["display_id"] for output in outputs}
    assert len(ids) == 1
    assert "round 1/4" in outputs[0]["data"]["text/html"]
    assert "round 2/4" in outputs[1]["data"]["text/html"]
    assert outputs[1]["data"]["text/plain"].startswith("Training, round 2/4")
