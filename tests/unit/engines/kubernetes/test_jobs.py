"""FederatedJobs over HTTP, and a watch through every fault."""

import itertools
import threading

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.errors import ForbiddenError, JobNotFoundError, JobRefusedError
from fedjob.engines.kubernetes.jobs import FIELD_MANAGER, Change, JobsApi


def until_watching(fake):
    """Waits until the server has a watch."""
    while not fake.watching:
        threading.Event().wait(0.001)


def seen(change):
    return change.change, change.job.name, change.job.status.message


def test_list_reads_every_page_in_order(fake, jobs):
    fake.page = 2
    for name in ("c", "a", "d", "b", "e"):
        fake.put(name)
    fake.put("z", "other")
    assert [job.name for job in jobs.all()] == list("abcde")
    assert [job.namespace for job in jobs.all(everywhere=True)][:2] == ["other", "team"]


def test_list_begins_again_when_its_token_expires(fake, jobs):
    fake.page = 1
    fake.put("a")
    fake.put("b")
    fake.plan(410, "The provided continue parameter is too old")
    assert [job.name for job in jobs.all()] == ["a", "b"]


def test_missing_job_is_named_with_its_namespace(fake, jobs):
    with pytest.raises(JobNotFoundError) as error:
        jobs.get("digits")
    (fault,) = error.value.faults
    assert fault.field == "digits"
    assert "in namespace team" in fault.problem
    assert "fedjob list" in fault.fix
    assert jobs.find("digits") is None


def test_apply_is_server_side_with_our_field_manager(fake, jobs):
    made = jobs.apply({"metadata": {"name": "digits"}, "spec": {"model": {"className": "Net"}}})
    assert (made.name, made.namespace) == ("digits", "team")
    asked = fake.asked[-1]
    assert (asked.method, asked.query["fieldManager"]) == ("PATCH", FIELD_MANAGER)
    assert asked.query["fieldValidation"] == "Strict"
    assert "apply-patch" in asked.headers["Content-Type"]
    assert asked.body["kind"] == "FederatedJob"


def test_refusal_of_apply_is_an_input_error(fake, jobs):
    fake.plan(422, "spec.model.className: Required value")
    with pytest.raises(JobRefusedError, match="Required value"):
        jobs.apply({"metadata": {"name": "digits"}, "spec": {}})


def test_patch_changes_what_it_names_and_delete_removes(fake, jobs):
    fake.put("digits", spec={"federation": {"numRounds": 5}, "runPolicy": {"backoffLimit": 3}})
    changed = jobs.patch("digits", {"spec": {"runPolicy": {"suspend": True}}})
    assert changed.suspended
    assert changed.spec["runPolicy"] == {"backoffLimit": 3, "suspend": True}
    assert not changed.seen
    jobs.delete("digits")
    assert fake.jobs == {}


def test_watch_gives_the_present_and_then_changes(fake, jobs):
    fake.put("digits", status={"message": "one"})
    changes = jobs.watch("digits")
    assert seen(next(changes)) == (Change.ADDED, "digits", "one")
    fake.put("another")
    fake.put("digits", status={"message": "two"})
    assert seen(next(changes)) == (Change.MODIFIED, "digits", "two")
    fake.remove("digits")
    assert next(changes).change is Change.DELETED
    changes.close()


def test_watch_continues_after_a_cut_without_repeating(fake, jobs):
    fake.put("digits", status={"message": "one"})
    changes = jobs.watch("digits")
    next(changes)
    for message in ("two", "three"):
        threading.Thread(target=lambda: (until_watching(fake), fake.cut())).start()
        threading.Timer(0.02, fake.put, ("digits",), {"status": {"message": message}}).start()
        assert next(changes).job.status.message == message
    lists = [asked for asked in fake.asked if "watch" not in asked.query]
    assert len(lists) == 1


def test_watch_lists_again_after_410_and_reports_what_it_missed(fake, jobs):
    fake.put("digits", status={"message": "one"})
    fake.put("gone")
    changes = jobs.watch()
    assert {next(changes).job.name, next(changes).job.name} == {"digits", "gone"}
    fake.remove("gone")
    fake.put("digits", status={"message": "two"})
    fake.compact()
    assert seen(next(changes))[:2] == (Change.DELETED, "gone")
    assert seen(next(changes)) == (Change.MODIFIED, "digits", "two")


def test_job_that_was_replaced_meanwhile_is_deleted_and_added(fake, jobs):
    fake.put("digits")
    changes = jobs.watch("digits")
    old = next(changes).job
    fake.remove("digits")
    fake.put("digits")
    fake.compact()
    first, second = next(changes), next(changes)
    assert (first.change, first.job.uid) == (Change.DELETED, old.uid)
    assert second.change is Change.ADDED
    assert second.job.uid != old.uid


def test_watch_survives_a_restart_of_the_api_server(fake, jobs):
    fake.put("digits", status={"message": "one"})
    troubles = []
    changes = jobs.watch("digits", interrupted=troubles.append)
    next(changes)

    def restart():
        until_watching(fake)
        port = fake.port
        fake.stop()
        while len(troubles) < 3:
            threading.Event().wait(0.001)
        fake.put("digits", status={"message": "two"})
        fake.start(port)

    thread = threading.Thread(target=restart)
    thread.start()
    assert next(changes).job.status.message == "two"
    thread.join()
    assert "does not answer" in troubles[-1]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_watch_is_tried_again_after_a_transient_answer(fake, jobs, code):
    fake.put("digits", status={"message": "one"})
    changes = jobs.watch("digits")
    next(changes)
    fake.plan(code, watch=True, times=3)
    fake.put("digits", status={"message": "two"})
    assert next(changes).job.status.message == "two"


def test_watch_ends_at_its_deadline(fake, tmp_path):
    times = itertools.count()
    api = ApiServer(Target(kubeconfig=fake.kubeconfig(tmp_path)))
    jobs = JobsApi(api, sleep=lambda _: None, clock=lambda: next(times))
    fake.put("digits")
    fake.plan(500, watch=True, times=100)
    api._patience = 0.0
    assert [change.change for change in jobs.watch("digits", deadline=8)] == [Change.ADDED]


def test_refusal_ends_a_watch(fake, jobs):
    fake.put("digits")
    times = iter(range(0, 10_000, 10))
    jobs = JobsApi(jobs.api, sleep=lambda _: None, clock=lambda: float(next(times)))
    changes = jobs.watch("digits")
    next(changes)
    fake.plan(403, "no", watch=True, times=100)
    with pytest.raises(ForbiddenError, match="watch federatedjobs in namespace team"):
        next(changes)


@pytest.mark.parametrize("code", [401, 403, 404])
def test_refusals_of_an_api_server_that_is_starting_are_tried_again(fake, jobs, code):
    """It serves before it knows its roles, its resource definitions and its accounts."""
    fake.put("digits", status={"message": "one"})
    noted = []
    changes = jobs.watch("digits", interrupted=noted.append)
    next(changes)
    fake.put("digits", status={"message": "two"})
    fake.plan(code, "not yet", watch=True, times=4)
    assert seen(next(changes)) == (Change.MODIFIED, "digits", "two")
    assert noted


def test_first_list_that_fails_is_an_error(fake, jobs):
    fake.plan(403, "no")
    with pytest.raises(ForbiddenError, match="list"):
        next(jobs.watch())
