"""The client of this machine: runs by name, in one folder."""

import pytest

import fedjob
from fedjob.client.local import LocalClient
from support.sdk.finished_run import finish


def test_complete_run_is_found_again_and_not_run_again(job, shards, out, finished):
    """A submission of the same job finds its results."""
    client = LocalClient(out)
    run = client.submit(job, shards=shards)
    assert run.wait(30).state is fedjob.RunState.COMPLETE
    assert [found.name for found in client.list()] == ["digits"]
    assert client.get("digits").status().state is fedjob.JobState.COMPLETE


def test_unknown_run_is_refused_with_the_known_ones(out, finished):
    for name in ("other", "../digits", "digits/../digits"):
        with pytest.raises(fedjob.InvalidJobError, match=r"not a run .*give one of: digits"):
            LocalClient(out).get(name)
    assert LocalClient(out / "nowhere").list() == []


def test_hints_are_warnings_at_the_line_that_submits(model, shards, out):
    text = "import nowhere_installed\n"
    job = fedjob.from_model(model, name="digits", training={"num_classes": 2})
    job = job.with_code(text + job.spec.model.source.inline, {"scaling.py": b"SCALE = 1\n"})
    finish(job.prepared(shards), out / "digits")
    with pytest.warns(fedjob.FedjobWarning, match="nowhere_installed") as caught:
        LocalClient(out).submit(job, shards=shards)
    assert caught[0].filename == __file__


def test_another_job_of_the_same_name_is_refused_in_pythons_names(model, shards, out, finished):
    job = fedjob.from_model(model, name="digits", training={"num_classes": 2, "batch_size": 2})
    with pytest.raises(fedjob.InvalidJobError) as caught:
        LocalClient(out).submit(job, shards=shards)
    assert "spec.training.batchSize" in str(caught.value)
    assert "give another out=, or fresh=True" in str(caught.value)


def test_missing_requirements_are_named_with_the_argument_that_installs(model, shards, out):
    job = fedjob.from_model(model, training={"num_classes": 2}, requirements=["no-such-package"])
    with pytest.raises(fedjob.InvalidJobError, match=r"no-such-package.*install=True"):
        LocalClient(out).submit(job, shards=shards)
    assert not out.exists()


def test_what_is_submitted_is_a_job_or_its_path(job, shards, out, tmp_path, finished):
    path = tmp_path / "job.yaml"
    path.write_text(job.to_yaml())
    assert LocalClient(out).submit(path, shards=shards).name == "digits"
    with pytest.raises(fedjob.InvalidJobError, match="is an object of int; pass what from_model"):
        LocalClient(out).submit(3, shards=shards)
