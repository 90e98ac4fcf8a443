"""Following a run: statuses, events now and then, and faults of the events."""

from fedjob.cli.following import EVENTS_SECONDS, follow_run
from fedjob.engines.run_status import RunStatus
from fedjob.errors import UnavailableError


class Handle:
    def __init__(self, states, *, broken=False):
        self.statuses = [RunStatus(name="digits", state=state) for state in states]
        self.asked, self._broken = 0, broken

    def follow(self):
        yield from self.statuses

    def events(self):
        self.asked += 1
        if self._broken:
            raise UnavailableError("the API server does not answer")
        return [self.asked]


class View:
    def __init__(self):
        self.shown = []

    def status(self, status, events):
        self.shown.append((status.state, list(events)))


def test_events_are_asked_for_at_most_every_few_seconds_and_at_the_end():
    times = iter([0.0, EVENTS_SECONDS / 2, EVENTS_SECONDS, EVENTS_SECONDS, EVENTS_SECONDS, 99.0])
    handle, view = Handle(["Pending", "Starting", "Training", "Complete"]), View()
    last = follow_run(handle, view, clock=lambda: next(times))
    assert last.state == "Complete"
    assert view.shown == [
        ("Pending", [1]), ("Starting", [1]), ("Training", [2]), ("Complete", [3]),
    ]  # fmt: skip


def test_events_that_cannot_be_read_do_not_end_the_view():
    handle, view = Handle(["Training", "Complete"], broken=True), View()
    assert follow_run(handle, view).state == "Complete"
    assert [events for _, events in view.shown] == [[], []]


def test_run_without_a_status_has_no_last_one():
    assert follow_run(Handle([]), View()) is None
