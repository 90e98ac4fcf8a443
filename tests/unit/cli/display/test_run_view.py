"""What is known of a run in progress."""

import pytest

from fedjob.cli.display.run_view import RunView
from fedjob.protocol.server_status import ServerStatus
from support.run_samples import commit


def test_eta_is_the_mean_of_the_last_rounds_for_those_left():
    view = RunView("x", 10)
    assert view.eta(0.0) is None
    view.take(ServerStatus(completed=0, total=10, history=[commit(0, seconds=99.0)]), now=0.0)
    assert view.eta(0.0) is None, "the initial model does not count as a round"
    seconds = [50.0, 1.0, 2.0, 3.0, 2.0, 2.0]
    history = [commit(n + 1, seconds=s) for n, s in enumerate(seconds)]
    view.take(ServerStatus(completed=6, total=10, history=history), now=10.0)
    assert view.eta(10.0) == pytest.approx(8.0)
    assert view.eta(11.0) == pytest.approx(7.0)
    assert view.eta(1000.0) == pytest.approx(6.0), "a round that takes long is not the last"


def test_rounds_of_an_earlier_run_are_no_news_but_count():
    status = ServerStatus(attempt=2, completed=2, total=3, history=[commit(1, 1), commit(2, 1)])
    view = RunView("x", 3)
    assert view.take(status, 0.0) == []
    assert view.series("loss") == [None, None]
    after_crash = ServerStatus(attempt=3, completed=3, total=3, history=[commit(3, 2)])
    assert [c.round for c in view.take(after_crash, 0.0)] == [3], "of a crashed server of this run"
