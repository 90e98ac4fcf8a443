"""The handle of a run: what an engine says, with errors for people."""

import pytest

import fedjob
from fedjob.client.local import LocalClient
from support.sdk.finished_run import finish


@pytest.fixture
def run(out, finished):
    return LocalClient(out).get("digits")


def test_every_verb_of_a_finished_run(run, tmp_path):
    assert (run.name, run.namespace, run.running) == ("digits", "default", False)
    assert run.status().rounds_text == "5/5"
    assert [status.state for status in run.follow()] == [fedjob.JobState.COMPLETE]
    assert run.wait().rounds[-1].metrics["loss"] == 0.1
    assert set(run.result().load()) == {"bias", "weight"}
    assert (run.result().download(tmp_path / "to") / "model.safetensors").is_file()
    assert list(run.logs()) == ["2026-01-02T03:00:30Z epoch 1 loss 0.5"]
    assert list(run.logs("worker-1", round=1)) == list(run.logs("worker-1"))
    assert [event.reason for event in run.events()] == ["RoundCompleted"]
    assert run.report(tmp_path / "report.html").rounds == 5
    assert run.handle.name == "digits"


def test_failed_run_raises_its_reason(job, shards, out):
    finish(job.prepared(shards), out / "digits", failed="worker-0: reduce batch_size")
    run = LocalClient(out).get("digits")
    with pytest.raises(fedjob.RunFailedError) as caught:
        run.wait()
    assert caught.value.reason is fedjob.Reason.TRAINING_FAILED
    assert caught.value.message == "worker-0: reduce batch_size"
    assert run.result().state is fedjob.RunState.FAILED, "without raising"
    with pytest.raises(fedjob.InvalidJobError, match="has no model"):
        run.result().load()


def test_result_of_a_run_that_has_not_ended(run, finished):
    finished.result.unlink()
    with pytest.raises(fedjob.UnavailableError, match=r"Suspended, round 5/5.*run\.wait"):
        run.result()


def test_cancelled_run_is_deleted_but_its_results_stay(run, finished):
    run.cancel()
    assert finished.model.is_file()
    with pytest.raises(fedjob.InvalidJobError, match="run digits: was deleted"):
        run.status()
    assert "was deleted" in repr(run)
    assert "was deleted" in run._repr_html_()


def test_shown_as_text_and_in_a_notebook(run):
    assert repr(run) == "<Run digits: Complete, round 5/5, clients 2/2, val_accuracy 0.8333>"
    page = run._repr_html_()
    assert "site-a.zip" in page
    assert page.count("<svg") == 2, "metrics and losses"
