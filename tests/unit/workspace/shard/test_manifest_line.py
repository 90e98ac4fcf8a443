"""Rows 17, 18, 20: every line of a manifest is read, and every fault names its line."""

import pytest

from fedjob.errors import EXIT_INVALID
from fedjob.workspace.shard.manifest import (
    InvalidManifestError,
    iter_manifest,
    scan_manifest,
)
from support.workspace.manifest_lines import WHERE, line, scan


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
    "uri-https-nowhere": (line(uri="https:///a.png"), "is not an address", "https://host/path"),
    "uri-https-port": (line(uri="https://h:99999/a.png"), "is not an address", "correct it"),
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
