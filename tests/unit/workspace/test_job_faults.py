"""What keeps a job from becoming an NVFlare job folder, found before anything runs."""

import pytest

from fedjob.errors import EXIT_INVALID
from fedjob.workspace.render import InvalidJobFolderError
from support.workspace.rendered_jobs import FORM_A, executor_of, rendered

REFUSED = {
    "min-clients": (
        {"federation": {"minClients": 3}},
        "is 3, but there are 2 workers",
        "at most 2",
    ),
    "unknown-arg": (
        {"model": {"args": {"depth": 1}}},
        "does not take it; it takes width",
        "remove",
    ),
    "extra-path": ({"training": {"extra": {"path": "a.b"}}}, "class to build", "file_path"),
    "extra-deep": (
        {"training": {"extra": {"a": [{"path": "a.b"}]}}},
        "class to build",
        "file_path",
    ),
    "extra-braces": ({"training": {"extra": {"a": "{site}"}}}, "braces", "without braces"),
    "module": (
        {"components": {"executor": {"path": "other.Mine"}}},
        "module other is neither in app/custom (fedjob_executor, fedjob_persistor, model_def)",
        "write the class into model_def.py",
    ),
    "class": (
        {"components": {"persistor": {"path": "model_def.Nett"}}},
        "has no class Nett",
        "did you mean model_def.Net?",
    ),
}


@pytest.mark.parametrize(("spec", "problem", "fix"), REFUSED.values(), ids=REFUSED.keys())
def test_a_job_that_nvflare_could_not_run_is_refused(spec, problem, fix):
    """Row 35: before anything runs."""
    with pytest.raises(InvalidJobFolderError) as caught:
        rendered(**spec)
    (fault,) = caught.value.faults
    assert problem in fault.problem
    assert fix in fault.fix
    assert fault.field.startswith("spec.")
    assert caught.value.exit_code == EXIT_INVALID


def test_all_faults_come_at_once():
    with pytest.raises(InvalidJobFolderError) as caught:
        rendered(
            workers=(),
            model={"args": {"depth": 1}},
            training={"extra": {"x": "{y}"}},
            components={"executor": {"path": "a.B"}, "aggregator": {"path": "c.D"}},
        )
    assert len(caught.value.faults) == 5


def test_a_constructor_that_needs_more_is_reported():
    source = FORM_A.replace("width=8, num_classes=2", "width, num_classes")
    with pytest.raises(InvalidJobFolderError, match="Net needs `width`"):
        rendered(source)
    rendered(source, model={"args": {"width": 3}})


def test_arguments_of_a_constructor_that_is_not_in_the_file_are_left_to_the_runtime():
    source = "from timm_like import Net\n\n\ndef fl_train_model(payload):\n    return {}\n"
    files = rendered(source, model={"args": {"anything": 1}})
    assert executor_of(files)["executor"]["args"]["model_args"] == {"anything": 1}


def test_a_job_without_shards_is_refused():
    with pytest.raises(InvalidJobFolderError, match="has no shard, and a worker needs one"):
        rendered(workers=())


def test_arguments_and_validation_need_a_model():
    """Row 36: a job without a model starts without weights."""
    spec = {"shards": {"validation": "v.zip"}, "model": {"className": None, "args": {"a": 1}}}
    with pytest.raises(InvalidJobFolderError) as caught:
        rendered(**spec)
    assert [fault.field for fault in caught.value.faults] == [
        "spec.model.args",
        "spec.shards.validation",
    ]
