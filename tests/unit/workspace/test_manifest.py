"""Rows 17, 18, 20 to 23: manifests are read line by line and every fault names its line."""

import json
import tracemalloc
import unicodedata

import pytest

from fedjob.errors import EXIT_INVALID, InvalidInputError
from fedjob.workspace.classes import check_num_classes, infer_num_classes, resolve_num_classes
from fedjob.workspace.shard.manifest import (
    InvalidManifestError,
    iter_manifest,
    read_lines,
    scan_manifest,
)

WHERE = "shard-1.zip: manifest.ndjson"


def line(id_="a1", uri="images/a1.png", y=0, **more):
    return json.dumps({"id": id_, "uri": uri, "y": y, **more}).encode() + b"\n"


def scan(*lines, **options):
    return scan_manifest(lines, WHERE, **options)


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


URIS = {
    "images/a.png": "images/a.png",
    "./images//a.png": "images/a.png",
    "file://images/a.png": "images/a.png",
    "file://a%20b.png": "a b.png",
    "a%20b.png": "a%20b.png",
    "ünï/ç.png": "ünï/ç.png",
    "a..b/c...png": "a..b/c...png",
    "./img:1.png": "img:1.png",
    "https://example.org/a.png?x=1": None,
    "HTTPS://example.org:8443/a.png": None,
}


@pytest.mark.parametrize(("uri", "path"), URIS.items())
def test_uris_within_the_shard_and_https_are_taken(uri, path):
    """Row 18."""
    (sample,) = iter_manifest([line(uri=uri)], WHERE)
    assert (sample.uri, sample.path) == (uri, path)


def test_bom_crlf_blank_lines_integer_ids_and_a_missing_last_newline_are_fine():
    """Row 17."""
    lines = [b"\xef\xbb\xbf" + line(7).rstrip() + b"\r\n", b"   \r\n", line("b").rstrip()]
    assert [s.id for s in iter_manifest(lines, WHERE)] == ["7", "b"]


# name: (line, what the message holds, what its fix holds)
BAD = {
    "not-json": (b"{id: 1}\n", "is not JSON", "one JSON object a line"),
    "truncated": (line()[:-5], "is not JSON", "one JSON object a line"),
    "two-objects": (line().strip() + line(), "is not JSON: Extra data", "one JSON object"),
    "array-file": (b"[\n", "is not JSON", "one JSON object a line"),
    "array-line": (b'["a", "b", 1]', "is a list, not an object", "one JSON object a line"),
    "text": (b'"a"', "is a text, not an object", "one JSON object a line"),
    "null": (b"null", "is null, not an object", "one JSON object a line"),
    "csv": (b"id,uri,y\n", "is not JSON", "one JSON object a line"),
    "latin-1": ('{"id": "é"}'.encode("latin-1"), "not UTF-8 (byte 9)", "save it as UTF-8"),
    "utf-16": ('{"id": "a"}'.encode("utf-16"), "UTF-16", "save it as UTF-8"),
    "nesting": (b"[" * 100_000, "is not usable JSON", "one JSON object"),
    "huge-int": (b'{"y": ' + b"1" * 5000 + b"}", "is not usable JSON", "one JSON object"),
    "long-line": (line(meta="x" * (1 << 20)), "longer than 1 MiB", "files of its own"),
    "no-id": (b'{"uri": "a.png", "y": 1}', "has no `id`", "add `id`"),
    "no-uri": (b'{"id": "a", "y": 1}', "has no `uri`", "add `uri`"),
    "no-y": (b'{"id": "a", "uri": "a.png"}', "has no `y`", "add `y`"),
    "label": (b'{"id": "a", "uri": "a.png", "label": 1}', "has no `y`", "rename `label` to `y`"),
    "path": (b'{"id": "a", "path": "a.png", "y": 1}', "has no `uri`", "rename `path` to `uri`"),
    "id-empty": (line(""), "id is an empty text", "1 to 1024"),
    "id-null": (line(None), "id is null", "1 to 1024"),
    "id-list": (line([1]), "id is a list", "1 to 1024"),
    "id-bool": (line(True), "id is a boolean", "1 to 1024"),
    "id-control": (line("a\nb"), "cannot be shown", "letters"),
    "id-surrogate": (b'{"id": "\\ud800", "uri": "a", "y": 1}', "cannot be shown", "letters"),
    "y-negative": (line(y=-1), "negative label -1", "from 0"),
    "y-bool": (line(y=True), "y has a boolean true", "class number"),
    "y-nan": (b'{"id": "a", "uri": "a", "y": NaN}', "y has nan, which is not finite", "finite"),
    "y-infinite": (b'{"id": "a", "uri": "a", "y": [0.5, Infinity]}', "y has inf", "finite"),
    "y-overflow": (line(y=[0.5, 10**400]), "which is not finite", "finite"),
    "y-float-and-text": (line(y=[0.5, "1"]), 'y has a text "1" among numbers', "numbers only"),
    "y-float-after-class": (
        line(y=1.0),
        "y is a float, and on line 1 a class number",
        "floats everywhere (3.0, not 3)",
    ),
    "y-floats-after-class": (line(y=[1.0, 2]), "y is a list of floats", "floats everywhere"),
    "y-one-hot": (
        line(y=[0, 0, 1]),
        "y [0, 0, 1] looks like a one-hot vector",
        'write the class numbers instead: "y": [2]',
    ),
    "y-multi-hot": (
        line(y=[1, 0, 1, 1]),
        "y [1, 0, 1, 1] looks like a multi-hot vector",
        '"y": [0, 2, 3]',
    ),
    "y-zeros": (line(y=[0] * 40), "looks like a multi-hot vector", '"y": []'),
    "y-twice": (line(y=[3, 1, 3]), "y [3, 1, 3] names a class twice", '"y": [1, 3]'),
    "y-text": (line(y="3"), 'y has a text "3"', "class number"),
    "y-null": (line(y=None), "y has null", "class number"),
    "y-object": (line(y={"a": 1}), "y has an object", "class number"),
    "y-nested": (line(y=[[1]]), "y has a list", "class number"),
    "y-mixed": (line(y=[1, "2"]), 'y has a text "2"', "class number"),
    "y-list-bool": (line(y=[0, False]), "y has a boolean", "class number"),
    "y-list-negative": (line(y=[0, -2]), "negative label -2", "from 0"),
    "y-huge": (line(y=1_000_000), "label 1000000", "at most 999999"),
    "uri-number": (line(uri=3), "uri is a number", "as text"),
    "uri-empty": (line(uri=""), "is empty", "path in the shard"),
    "uri-absolute": (line(uri="/etc/passwd"), "is absolute", "relative path"),
    "uri-home": (line(uri="~/a.png"), "is absolute", "relative path"),
    "uri-file-absolute": (line(uri="file:///etc/passwd"), "is absolute", "relative path"),
    "uri-file-one-slash": (line(uri="file:/etc/passwd"), "is absolute", "relative path"),
    "uri-parent": (line(uri="../other/a.png"), "leaves the shard", "relative path"),
    "uri-parent-inside": (line(uri="a/../../b.png"), "leaves the shard", "relative path"),
    "uri-file-parent": (line(uri="file://../a.png"), "leaves the shard", "relative path"),
    "uri-file-encoded-parent": (line(uri="file://%2e%2e/a"), "leaves the shard", "relative path"),
    "uri-file-encoded-slash": (line(uri="file://%2fetc/passwd"), "is absolute", "relative path"),
    "uri-backslash": (line(uri="a\\b.png"), "backslash", "`/`"),
    "uri-drive": (line(uri="C:/a.png"), "names a drive", "relative path"),
    "uri-folder": (line(uri="images/"), "is a folder", "name a file"),
    "uri-dot": (line(uri="."), "names no file", "path in the shard"),
    "uri-null-byte": (line(uri="a\x00.png"), "control character", "rename"),
    "uri-encoded-null": (line(uri="file://a%00.png"), "control character", "rename"),
    "uri-http": (line(uri="http://example.org/a.png"), "not encrypted", "https://"),
    "uri-ftp": (line(uri="ftp://example.org/a.png"), "unknown scheme ftp:", "https://"),
    "uri-data": (line(uri="data:image/png;base64,AAAA"), "data: is not read", "relative path"),
    "uri-s3": (line(uri="s3://bucket/a.png"), "not read by workers", "presigned https"),
    "uri-https-nowhere": (line(uri="https:///a.png"), "is no address", "https://host/path"),
    "uri-https-port": (line(uri="https://h:99999/a.png"), "is no address", "correct it"),
    "uri-https-password": (line(uri="https://u:p@h/a.png"), "carries a password", "presigned"),
    "uri-long": (line(uri="a" * 5000), "longer than 4096", "shorter"),
}


@pytest.mark.parametrize(("raw", "problem", "fix"), BAD.values(), ids=BAD.keys())
def test_a_line_that_cannot_be_used_is_named(raw, problem, fix):
    """Rows 17, 18, 20."""
    # Lines that are fine each may still not fit together: only a scan compares them.
    read_all = lambda lines: list(iter_manifest(lines, WHERE))  # noqa: E731
    scan_all = lambda lines: scan_manifest(lines, WHERE)  # noqa: E731
    for read in (
        (scan_all,) if "on line 1" in problem or "y is" in problem else (scan_all, read_all)
    ):
        lines = [raw] if b"UTF-16" in raw or raw[:2] == b"\xff\xfe" else [line("first"), raw]
        with pytest.raises(InvalidManifestError) as caught:
            read(lines)
        assert caught.value.exit_code == EXIT_INVALID
        (fault,) = [f for f in caught.value.faults if problem in f.problem] or [None]
        assert fault, caught.value
        assert fix in fault.fix
        assert fault.field == f"{WHERE} line {len(lines)}"


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(InvalidManifestError) as caught:
        scan(line(uri="https://user:hunter2@host/a.png"))
    assert "hunter2" not in str(caught.value)


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


def test_floats_are_numbers_to_predict():
    """Row 20: a regression has no classes."""
    summary = scan(line("a", y=0.5), line("b", y=-2.0))
    assert (summary.targets, summary.max_label, dict(summary.labels)) == (1, -1, {})
    assert summary.styles == {"number": 1}
    samples = list(iter_manifest([line("a", y=0.5), line("b", y=[1, 2.5])], WHERE))
    assert [(s.y, s.targets, s.style) for s in samples] == [
        ((), (0.5,), "number"),
        ((), (1.0, 2.5), "numbers"),
    ]


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
def test_one_hot_vectors_without_repetition_are_told_by_the_whole_manifest(labels, where):
    """Field one-hot-labels: with two classes, or as floats, no line alone gives it away."""
    lines = [line(f"s{i}", y=y) for i, y in enumerate(labels)]
    with pytest.raises(InvalidManifestError, match=f"{where}: every y looks like a one-hot vector"):
        scan(*lines)
    assert scan(*lines[:-1], line("z", y=[0] if where == "line 2" else [0.5, 0.0, 0.0]))


@pytest.mark.parametrize("labels", [[[0, 1], [0, 1]], [[0, 1], [0]], [[], [1, 0]], [[1], [0]]])
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


def summary_of(where, *labels):
    lines = [line(f"s{i}", y=y) for i, y in enumerate(labels)]
    return scan_manifest(lines, where)


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
