"""Rows 17, 18, 20 to 23: manifests are read line by line and every fault names its line."""

import tracemalloc
import unicodedata

import pytest

from fedjob.workspace.shard.manifest import (
    InvalidManifestError,
    iter_manifest,
    read_lines,
    scan_manifest,
)
from support.workspace.manifest_lines import WHERE, line, scan


def test_a_single_label_manifest_is_summed_up():
    """Rows 17 and 20."""
    summary = scan(line("a", y=0), b"\n", line("b", y=4, meta={"site": 1}), line("c", y=4))
    assert summary.samples == 3
    assert (summary.max_label, summary.max_label_line, summary.max_label_id) == (4, 3, "b")
    assert not summary.multi_label
    assert dict(summary.labels) == {0: 1, 4: 2}
    assert summary.https_uris == 0


def test_lists_make_it_multi_label_and_may_be_empty_or_mixed():
    """Row 20."""
    summary = scan(line("a", y=[2, 0]), line("b", y=[]), line("c", y=1))
    assert summary.multi_label
    assert dict(summary.labels) == {0: 1, 1: 1, 2: 1}
    samples = list(iter_manifest([line("a", y=[2, 0]), line("c", y=1)], WHERE))
    assert [(s.y, s.multi, s.line) for s in samples] == [((0, 2), True, 1), ((1,), False, 2)]


def test_one_line_can_have_several_faults_and_all_lines_are_read():
    with pytest.raises(InvalidManifestError) as caught:
        scan(line("", uri="/a", y=-1), line("b"), line("c", y="x"))
    assert [f.field.rpartition(" ")[2] for f in caught.value.faults] == ["1", "1", "1", "3"]


def test_at_most_twenty_faults_are_listed():
    with pytest.raises(InvalidManifestError) as caught:
        scan(*(line(str(i), y=-1) for i in range(1000)))
    assert len(caught.value.faults) == 21
    assert "and 980 more faults" in str(caught.value)


@pytest.mark.parametrize("lines", [[], [b"\n", b"  \n"], [b"\xef\xbb\xbf"]])
def test_an_empty_manifest_is_refused(lines):
    with pytest.raises(InvalidManifestError, match="holds no sample"):
        scan(*lines)


def test_files_that_the_shard_lacks_are_named():
    """Row 17."""
    known = {"images/a1.png"}
    scan(line("a"), line("b", uri="file://./images/a1.png"), known_files=known)
    with pytest.raises(
        InvalidManifestError, match=r"line 2: uri 'images/A1.png' is not in the shard"
    ):
        scan(line("a"), line("b", uri="images/A1.png"), known_files=known)
    with pytest.raises(InvalidManifestError, match="add the file, or correct the path"):
        scan(line("a"), line("b", uri="images/a2.png"), known_files=known)
    assert scan(line(uri="https://example.org/a"), known_files=()).https_uris == 1


def test_an_id_used_twice_is_named_with_both_lines():
    with pytest.raises(InvalidManifestError, match=r"line 3: id 'a' is already on line 1"):
        scan(line("a"), line("b"), line("a"))


def test_read_lines_keeps_no_more_than_a_line_of_a_file_without_line_ends(tmp_path):
    path = tmp_path / "manifest.ndjson"
    path.write_bytes(b"x" * (8 << 20) + b"\n" + line())
    with path.open("rb") as file:
        lines = list(read_lines(file))
    assert [len(item) <= (1 << 20) + 2 for item in lines] == [True, True]
    with path.open("rb") as file, pytest.raises(InvalidManifestError) as caught:
        scan_manifest(read_lines(file), WHERE)
    assert [f.problem for f in caught.value.faults] == ["is longer than 1 MiB"]


def test_a_line_of_exactly_one_mebibyte_is_read(tmp_path):
    path = tmp_path / "m"
    raw = line(meta="")
    path.write_bytes(
        raw.replace(b'""', b'"' + b"x" * ((1 << 20) - len(raw) + 1) + b'"') + line("b")
    )
    with path.open("rb") as file:
        assert scan_manifest(read_lines(file), WHERE).samples == 2


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (0.5, 3, "line 2: y is a class number, and on line 1 a float"),
        (0.5, [3], "line 2: y is a list of classes, and on line 1 a float"),
        (0.5, [0.5], "line 2: y is a list of floats, and on line 1 a float"),
        ([3], 0.5, "line 2: y is a float, and on line 1 a list of classes"),
        ([0.5, 1.5], [0.5], "line 2: y has 1 numbers, and earlier lines 2"),
    ],
)
def test_numbers_and_classes_do_not_mix(first, second, problem):
    """Row 20."""
    with pytest.raises(InvalidManifestError, match=problem):
        scan(line("a", y=first), line("b", y=second))


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        ([[0, 1], [1, 0], [0, 1]], "line 2"),
        ([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "line 1"),
    ],
)
def test_one_hot_vectors_without_repetition_are_found_over_the_whole_manifest(labels, where):
    """Field one-hot-labels: with two classes, or as floats, no line alone gives it away."""
    lines = [line(f"s{i}", y=y) for i, y in enumerate(labels)]
    with pytest.raises(InvalidManifestError, match=f"{where}: every y looks like a one-hot vector"):
        scan(*lines)
    assert scan(*lines[:-1], line("z", y=[0] if where == "line 2" else [0.5, 0.0, 0.0]))


@pytest.mark.parametrize(
    "labels", [[[0, 1], [0, 1]], [[0, 1], [0]], [[], [1, 0]], [[1], [0]], [[0, 1, 2]]]
)
def test_lists_of_classes_are_not_taken_for_vectors(labels):
    """Row 20."""
    assert scan(*(line(f"s{i}", y=y) for i, y in enumerate(labels))).multi_label


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_file_names_match_in_any_unicode_normal_form(form, stored):
    """Field nfd-names: macOS writes decomposed names."""
    name = "images/é.png"
    known = {unicodedata.normalize(stored, name)}
    assert scan(line(uri=unicodedata.normalize(form, name)), known_files=known).samples == 1


def test_a_name_that_differs_in_case_is_shown():
    both = [line("a", uri="A"), line("b", uri="B")]
    with pytest.raises(InvalidManifestError) as caught:
        scan(*both, known_files={"a", "b"})
    assert [fault.problem[-3:] for fault in caught.value.faults] == ["'a'", "'b'"]
    with pytest.raises(InvalidManifestError) as caught:
        scan(line(uri="Images/É.PNG"), known_files={"images/e\u0301.png"})
    (fault,) = caught.value.faults
    assert "which has 'images/e\u0301.png'" in fault.problem
    assert "capitals count" in fault.fix


def peak_bytes(count):
    def lines():
        for number in range(count):
            label = number % 2000
            yield b'{"id": "s%d", "uri": "images/%d.png", "y": %d}\n' % (number, number, label)

    tracemalloc.start()
    try:
        summary = scan_manifest(lines(), WHERE)
        return tracemalloc.get_traced_memory()[1], summary
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_lines(monkeypatch):
    """Issue 3: constant memory; the integration test of that name reads a million lines."""
    monkeypatch.setattr("fedjob.workspace.shard.manifest.MAX_REMEMBERED_IDS", 1000)
    peak_bytes(10)  # imports and caches
    small, _ = peak_bytes(2_000)
    large, summary = peak_bytes(10_000)
    assert summary.samples == 10_000
    assert len(summary.labels) == 1000
    assert sum(summary.labels.values()) + summary.other_labels == 10_000
    assert large < small + 20_000


def test_only_the_first_ids_are_remembered(monkeypatch):
    """The price of constant memory, as the module says it."""
    monkeypatch.setattr("fedjob.workspace.shard.manifest.MAX_REMEMBERED_IDS", 2)
    scan(line("a"), line("b"), line("c"), line("c"))
    with pytest.raises(InvalidManifestError, match="line 4: id 'b' is already on line 2"):
        scan(line("a"), line("b"), line("c"), line("b"))
