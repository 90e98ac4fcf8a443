"""The rules in Python: which jobs each refuses, at which field."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob.errors import Fault
from fedjob.spec.models.federation import FederationConfig
from fedjob.spec.models.model import MAX_TEXT
from fedjob.spec.validation import checks
from fedjob.spec.validation.reader import Reader

ITEMS = [{"name": "a.zip"}, {"name": "b.zip"}]


def faults(check: Any, **spec: Any) -> list[Fault]:
    return list(check(Reader({"spec": spec})))


def fault(check: Any, **spec: Any) -> Fault:
    (found,) = faults(check, **spec)
    return found


def one_file(**file: Any) -> dict[str, Any]:
    return {"model": {"files": [{"path": "ok.py", "text": ""}, file]}}


@pytest.mark.parametrize(
    ("check", "spec", "field"),
    [
        (checks.one_source, {}, "spec.model.source"),
        (
            checks.one_source,
            {"model": {"source": {"inline": "x", "uri": "s3://b/k"}}},
            "spec.model.source",
        ),
        (
            checks.class_name_no_keyword,
            {"model": {"className": "pkg.class"}},
            "spec.model.className",
        ),
        (
            checks.train_function_no_keyword,
            {"model": {"trainFunction": "lambda"}},
            "spec.model.trainFunction",
        ),
        (checks.one_content, one_file(path="a.py"), "spec.model.files[1]"),
        (checks.one_content, one_file(text="x", uri="s3://b/k"), "spec.model.files[1]"),
        (checks.file_name_is_free, one_file(path="model_def.py"), "spec.model.files[1].path"),
        (
            checks.root_is_a_folder,
            one_file(path=".", uri="s3://b/a.py"),
            "spec.model.files[1].path",
        ),
        (checks.root_is_a_folder, one_file(path=".", text="x"), "spec.model.files[1].path"),
        (
            checks.uploaded_file_name_is_free,
            {"model": {"upload": {"files": [{"path": "a.bin"}, {"path": "train_loop.py"}]}}},
            "spec.model.upload.files[1].path",
        ),
        (
            checks.one_checkpoint,
            {"model": {"checkpoint": "s3://b/c.pt", "upload": {"checkpoint": {}}}},
            "spec.model.checkpoint",
        ),
        (checks.texts_are_small, one_file(text="x" * (MAX_TEXT + 1)), "spec.model.files"),
        (
            checks.requirements_need_docker,
            {"model": {"requirements": ["numpy"]}, "image": {"builder": "append"}},
            "spec.image.builder",
        ),
        (
            checks.one_kind_of_shards,
            {"shards": {"uri": "s3://b/", "items": ITEMS}},
            "spec.shards",
        ),
        (
            checks.validation_is_an_item,
            {"shards": {"validation": "val.zip", "items": ITEMS}},
            "spec.shards.validation",
        ),
        (
            checks.gpu_to_wait_for,
            {"workers": {"gpu": 0, "gpuFallback": "wait"}},
            "spec.workers.gpuFallback",
        ),
        (
            checks.endpoint_has_secret,
            {"storage": {"endpoint": "http://s3"}},
            "spec.storage.secretRef",
        ),
        (
            checks.deadline_after_a_round,
            {
                "runPolicy": {"activeDeadlineSeconds": 60},
                "federation": {"roundTimeout": 61},
            },
            "spec.runPolicy.activeDeadlineSeconds",
        ),
    ],
)
def test_each_rule_names_the_field_to_change(check: Any, spec: Any, field: str) -> None:
    found = fault(check, **spec)
    assert found.field == field
    assert found.problem
    assert found.fix


@pytest.mark.parametrize(
    ("check", "spec"),
    [
        (checks.one_source, {"model": {"source": {"inline": "x"}}}),
        (checks.class_name_no_keyword, {}),
        (checks.class_name_no_keyword, {"model": {"className": "classes.Net"}}),
        (checks.train_function_no_keyword, {"model": {"trainFunction": "fl_train"}}),
        (checks.one_content, one_file(text="")),
        (checks.file_name_is_free, one_file(path="pkg/model_def.py")),
        (checks.root_is_a_folder, one_file(path=".", uri="s3://b/code/")),
        (checks.root_is_a_folder, one_file(path=".", uri="s3://b/code.zip")),
        (checks.root_is_a_folder, one_file(path="a.py", uri="s3://b/a.py")),
        (
            checks.uploaded_file_name_is_free,
            {"model": {"upload": {"files": [{"path": "pkg/model_def.py"}]}}},
        ),
        (checks.one_checkpoint, {"model": {"checkpoint": "s3://b/c.pt", "upload": {}}}),
        (checks.one_checkpoint, {"model": {"upload": {"checkpoint": {}}}}),
        (checks.texts_are_small, one_file(text="x" * MAX_TEXT)),
        (checks.requirements_need_docker, {"image": {"builder": "append"}}),
        (
            checks.requirements_need_docker,
            {"model": {"requirements": ["numpy"]}, "image": {"builder": "docker"}},
        ),
        (checks.one_kind_of_shards, {"shards": {"items": ITEMS}}),
        (checks.validation_is_an_item, {"shards": {"validation": "b.zip", "items": ITEMS}}),
        (checks.validation_is_an_item, {"shards": {"validation": "b.zip", "uri": "s3://b/"}}),
        (checks.enough_shards, {"federation": {"minClients": 9}}),
        (checks.enough_shards, {"federation": {"minClients": 2}, "shards": {"items": ITEMS}}),
        (checks.gpu_to_wait_for, {"workers": {"gpu": 1, "gpuFallback": "wait"}}),
        (checks.gpu_to_wait_for, {"workers": {"gpu": 0, "gpuFallback": "cpu"}}),
        (
            checks.endpoint_has_secret,
            {"storage": {"endpoint": "http://s3", "secretRef": {"name": "s"}}},
        ),
        (checks.deadline_after_a_round, {"runPolicy": {"activeDeadlineSeconds": 60}}),
        (
            checks.deadline_after_a_round,
            {
                "runPolicy": {"activeDeadlineSeconds": 60},
                "federation": {"roundTimeout": 60},
            },
        ),
    ],
)
def test_a_job_that_keeps_a_rule_has_no_fault(check: Any, spec: dict[str, Any]) -> None:
    assert faults(check, **spec) == []


def test_texts_count_together() -> None:
    half = MAX_TEXT // 2 + 1
    files = [{"path": "a", "text": "x" * half}, {"path": "b", "text": "x" * half}]
    assert (
        f"hold {2 * half} characters"
        in fault(checks.texts_are_small, model={"files": files}).problem
    )


def test_the_validation_shard_is_not_a_workers() -> None:
    shards = {"items": ITEMS, "validation": "b.zip"}
    found = fault(checks.enough_shards, federation={"minClients": 2}, shards=shards)
    assert found.field == "spec.federation.minClients"
    assert "gives 1 worker beside the validation shard" in found.problem
    assert found.fix == "write `minClients: 1`, or add shards"


def test_without_a_worker_only_shards_help() -> None:
    found = fault(
        checks.enough_shards,
        federation={"minClients": 1},
        shards={"items": ITEMS[:1], "validation": "a.zip"},
    )
    assert "gives 0 workers" in found.problem
    assert found.fix == "add shards"


def test_the_default_of_min_clients_counts() -> None:
    default = FederationConfig.model_fields["min_clients"].default
    items = [{"name": f"{number}.zip"} for number in range(default)]
    assert faults(checks.enough_shards, shards={"items": items}) == []
    found = fault(checks.enough_shards, shards={"items": items[1:]})
    assert found.problem.startswith(f"{default} clients must answer")


@pytest.mark.parametrize(
    ("toleration", "field"),
    [
        ({"operator": "Exists"}, None),
        ({"operator": "Exists", "key": "gpu"}, None),
        ({"operator": "Exists", "value": "x"}, "value"),
        ({"operator": "Equal", "key": "gpu", "value": "x"}, None),
        ({"operator": "Equal", "value": "x"}, "key"),
        ({"value": "x"}, "key"),
    ],
)
def test_what_a_toleration_compares(toleration: dict[str, str], field: str | None) -> None:
    found = faults(checks.tolerations_compare("server"), server={"tolerations": [toleration]})
    expected = [] if field is None else [f"spec.server.tolerations[0].{field}"]
    assert [f.field for f in found] == expected


@pytest.mark.parametrize(
    ("effect", "problem"),
    [
        ("NoExecute", None),
        ("NoSchedule", "is given with effect NoSchedule, which has no end"),
        (None, "is given with effect absent, which has no end"),
    ],
)
def test_only_no_execute_has_an_end(effect: str | None, problem: str | None) -> None:
    tolerations = [{"key": "a"}, {"key": "b", "effect": effect, "tolerationSeconds": 5}]
    found = faults(checks.tolerations_end("workers"), workers={"tolerations": tolerations})
    expected = (
        [] if problem is None else [("spec.workers.tolerations[1].tolerationSeconds", problem)]
    )
    assert [(f.field, f.problem) for f in found] == expected


@pytest.mark.parametrize(
    ("requested", "limit", "above"),
    [
        ("1Gi", "1024Mi", False),
        ("1025Mi", "1Gi", True),
        (2, "1500m", True),
        ("500m", 1, False),
        (None, 1, False),
        (2, None, False),
    ],
)
def test_requests_are_compared_with_limits_as_amounts(
    requested: Any, limit: Any, above: bool
) -> None:
    check = checks.requests_within_limits("workers", "cpu")
    resources = {"requests": {"cpu": requested}, "limits": {"cpu": limit}}
    found = faults(check, workers={"resources": resources})
    expected = ["spec.workers.resources.requests.cpu"] if above else []
    assert [f.field for f in found] == expected
