"""Rows 17 and 27: which shards need a manifest, and what several manifests must agree on."""

import json

import pytest

from fedjob.spec.validation.parse import parse_job
from fedjob.workspace.manifest_use import for_classes, manifest_use, style_faults
from fedjob.workspace.shard.manifest import scan_manifest
from fedjob.workspace.source.model_file import check_source

NET = """
import torch.nn as nn
class Net(nn.Module):
    def __init__(self{}):
        super().__init__()
"""
FORM_A = "def fl_train_model(payload): pass\n"
FORM_B = "def fl_train(model, env, out_dir): pass\n"
VALIDATE = "def fl_validate(model, env, out_dir): pass\n"


def use_of(code, constructor="", **spec):
    text = NET.format(constructor) + code
    model = {"source": {"inline": text}, "className": "Net", **spec.pop("model", {})}
    resource = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": model, **spec},
    }
    return manifest_use(parse_job(json.dumps(resource), "job"), check_source(text, "Net"))


# name: (code, constructor, spec, the workers' shards need one, the validation shard needs one)
CASES = {
    "form C": ("", "", {}, True, False),
    "form C, evaluated": ("", "", {"shards": {"validation": "v.zip"}}, True, True),
    "form C, own evaluation": (VALIDATE, "", {"shards": {"validation": "v.zip"}}, True, False),
    "form A": (FORM_A, "", {}, False, False),
    "form B": (FORM_B, "", {}, False, False),
    "form B, evaluated": (FORM_B, "", {"shards": {"validation": "v.zip"}}, False, True),
    "form B, own evaluation": (
        FORM_B + VALIDATE,
        "",
        {"shards": {"validation": "v.zip"}},
        False,
        False,
    ),
    "own executor": ("", "", {"components": {"executor": {"path": "a.B"}}}, False, False),
    "classes to infer": (FORM_A, ", num_classes", {}, True, False),
    "classes given": (FORM_A, ", num_classes", {"training": {"numClasses": 3}}, False, False),
    "classes as argument": (
        FORM_A,
        ", num_classes",
        {"model": {"args": {"num_classes": 3}}},
        False,
        False,
    ),
    "classes with a default": (FORM_A, ", num_classes=2", {}, False, False),
}


@pytest.mark.parametrize(
    ("code", "constructor", "spec", "training", "validation"), CASES.values(), ids=CASES.keys()
)
def test_a_manifest_is_needed_where_fedjob_reads_it(code, constructor, spec, training, validation):
    """Field manifest-required."""
    use = use_of(code, constructor, **spec)
    assert use.needed_for("a.zip", "v.zip") == training
    assert use.needed_for("v.zip", "v.zip") == validation


def test_inferring_classes_reads_labels_but_no_samples():
    use = use_of(FORM_A, ", num_classes")
    assert use.needed_for("a.zip", None)
    assert not use.reads("a.zip", None)


def test_classes_are_inferred_without_a_validation_shard_that_has_no_manifest():
    known = summary("a.zip", 1)
    assert for_classes(["a.zip", "v.zip"], [known, None], "v.zip") == [known]
    assert for_classes(["a.zip", "v.zip"], [None, known], "v.zip") == [None, known]


def summary(where, *labels):
    lines = [
        json.dumps({"id": f"s{i}", "uri": "a.png", "y": y}).encode() for i, y in enumerate(labels)
    ]
    return scan_manifest(lines, where)


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ([1], [[1]], "a.zip: class numbers; b.zip: lists of classes"),
        ([1], [1.0], "b.zip: 1 float; a.zip: class numbers"),
        ([0.5], [[0.5, 1.5]], "a.zip: 1 float; b.zip: 2 floats"),
    ],
)
def test_shards_with_different_labels_are_named(first, second, shown):
    """Field mixed-label-styles: their metrics would be means of different measures."""
    (fault,) = style_faults([summary("a.zip", *first), summary("b.zip", *second)])
    assert fault.field == "spec.shards"
    assert shown in fault.problem
    assert 'write y the same way in every shard: "y": 3' in fault.fix


def test_shards_that_agree_are_fine():
    assert not list(style_faults([]))
    assert not list(style_faults([summary("a", 1), summary("b", 2)]))
    assert not list(style_faults([summary("a", 1, [1, 2]), summary("b", [2])]))
