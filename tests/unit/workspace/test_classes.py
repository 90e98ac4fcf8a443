"""Rows 21 and 22: the number of classes over all shards."""

import pytest

from fedjob.errors import InvalidInputError
from fedjob.workspace.classes import check_num_classes, infer_num_classes, resolve_num_classes
from support.workspace.manifest_lines import summary_of


def test_num_classes_is_inferred_over_all_shards():
    """Row 21: the largest label may be in any of them."""
    shards = [summary_of("a", 0, 1), summary_of("b", 9, 2), summary_of("c", [3, 4])]
    for order in (shards, shards[::-1]):
        assert infer_num_classes(order) == 10
        assert resolve_num_classes(0, order) == 10
    assert resolve_num_classes(12, shards) == 12
    assert resolve_num_classes(10, shards) == 10


def test_num_classes_cannot_be_inferred_without_a_label():
    """Row 21."""
    with pytest.raises(InvalidInputError, match="no sample of any shard has a label"):
        infer_num_classes([summary_of("a", [], [])])


def test_too_few_classes_are_refused_with_shard_line_and_id():
    """Row 22."""
    shards = [summary_of("a.zip", 0, 1), summary_of("b.zip", 0, 9), summary_of("c.zip", 5, 5)]
    with pytest.raises(InvalidInputError) as caught:
        check_num_classes(5, shards)
    first, second = caught.value.faults
    assert first.field == "spec.training.numClasses"
    assert first.problem == "is 5, but b.zip line 2 (id 's1') has label 9"
    assert second.problem == "is 5, but c.zip line 1 (id 's0') has label 5"
    assert first.fix == "write numClasses: 10, or 0 to infer it"
    check_num_classes(10, shards)


def test_an_optional_number_of_classes_stays_open_where_manifests_do_not_tell():
    """Fields manifest-required and placeholder-label-sets-num-classes."""
    placeholder, real = summary_of("a", 0, 0), summary_of("b", 0, 3)
    assert resolve_num_classes(0, [placeholder, None], "optional") == 0
    assert resolve_num_classes(0, [placeholder, placeholder], "optional") == 0
    assert resolve_num_classes(0, [placeholder, real], "optional") == 4
    assert resolve_num_classes(0, [placeholder, real], "unused") == 0
    assert resolve_num_classes(0, [summary_of("a", 0.5)], "required") == 0
    assert resolve_num_classes(7, [None, real], "unused") == 7
    with pytest.raises(InvalidInputError, match="is 3, but b line 2"):
        resolve_num_classes(3, [None, real], "unused")


def test_a_required_number_of_classes_needs_every_manifest():
    """Row 21."""
    with pytest.raises(InvalidInputError, match="not every shard has a manifest"):
        resolve_num_classes(0, [summary_of("a", 3), None], "required")
