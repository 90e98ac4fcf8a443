"""Reading YAML as Kubernetes reads it, and refusing what would be read in two ways."""

import math

import pytest
import yaml

from fedjob.errors import InvalidInputError
from fedjob.spec.validation.parse import parse_job
from fedjob.spec.yaml import (
    MAX_BYTES,
    MAX_VALUES,
    dotted,
    dump_yaml,
    load_yaml,
    resolve,
    syntax_fault,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-12", -12),
        ("+3", 3),
        ("0x1F", 31),
        ("010", 8),
        ("0o10", 8),
        ("1e-3", 0.001),
        ("1.5E+2", 150),
        (".5", 0.5),
        ("2.", 2),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("Yes", True),
        ("OFF", False),
        ("~", None),
        ("", None),
        ("NULL", None),
        ("y", True),
        ("1.2.3", "1.2.3"),
        ("0x", "0x"),
        ("08", 8),
        ("2026-01-02", "2026-01-02"),
        ("12:30", "12:30"),
        ("1_000", 1000),
        ("9" * 60, 1e60),
        ("tRue", "tRue"),
        ("0b11", 3),
        ("-0b11", -3),
        ("0b+11", 3),
        ("0X1F", 31),
        ("0O17", 15),
        ("._5", "._5"),
        (".1_5", 0.15),
        ("+_1", 1),
        ("_1", "_1"),
        ("0b2", "0b2"),
        ("1e400", "1e400"),
        ("0x" + "f" * 17, "0x" + "f" * 17),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2.0**63),
        ("-9223372036854775809", -(2.0**63)),
        ("1e22", 1e22),
        ("1e18", 10**18),
    ],
)
def test_plain_scalars(text, value):
    found = resolve(text)
    assert type(found) is type(value)
    assert found == value


def test_not_a_number():
    value = resolve(".NaN")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_anchors_and_json_are_read():
    assert load_yaml("a: &x {b: [1]}\nc: *x\n", "f").data == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert load_yaml('{"a": [1, "2", null, true]}', "f").data == {"a": [1, "2", None, True]}
    assert load_yaml("a: !!str 5\nb: '6'\nc: |\n  x\n---\n# nothing\n", "f").data == {
        "a": "5",
        "b": "6",
        "c": "x\n",
    }


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)

REFUSED = {
    "two documents": ("a: 1\n---\nb: 2\n", "job.yaml", "2 documents", "keep one"),
    "duplicate key": (
        "a:\n  b: 1\n  c: 2\n  b: 3\n",
        "a.b",
        "lines 2 and 4",
        "keep one of the two",
    ),
    "duplicate section": ("a: 1\na: {}\n", "a", "lines 1 and 2", "keep one"),
    "duplicate in list": ("a: [{b: 1, b: 1}]\n", "a[0].b", "twice", "keep one"),
    "number key": ("a: {1: x}\n", "job.yaml line 1", "key `1`", '`"1":`'),
    "boolean key": ("a:\n  on: x\n", "job.yaml line 2", "key `on`", '`"on":`'),
    "list key": ("? [a]\n: b\n", "job.yaml line 1", "not text", "write a name"),
    "merge key": (
        "a: &x {b: 1}\nc: {<<: *x}\n",
        "job.yaml line 2",
        "merge key",
        "write the fields",
    ),
    "tag": ("a: !!python/object:os.system x\n", "a", "has the tag", "without a tag"),
    "own tag": ("a: !secret x\n", "a", "`!secret`", "without a tag"),
    "tab": ("a:\n\tb: 1\n", "job.yaml line 2, column 1", "\\t", "spaces"),
    "colon in value": ("a: b: c\n", "job.yaml line 1, column 5", "not allowed", "in quotes"),
    "percent": ("a: %b\n", "job.yaml line 1, column 4", "%", "in quotes"),
    "open bracket": ("a: [1, 2\nb: 1\n", "job.yaml line 2, column 2", "expected", "brackets"),
    "open quote": ('a: "x\n', "job.yaml line 2, column 1", "end of stream", "quotes"),
    "unknown alias": ("a: *x\n", "job.yaml line 1", "`*x`", "write `&x`"),
    "alias in itself": ("a: &x [*x]\n", "job.yaml line 1", "complete", "write `&x`"),
    "bomb": (BOMB, "job.yaml line 5", "too many values", f"at most {MAX_VALUES}"),
    "deep": ("a: " + "[" * 5000, "job.yaml line 1", "too deep", "at most 32 levels"),
    "many": ("[" + "1," * MAX_VALUES + "1]", "job.yaml line 1", "too many", "at most"),
    "big": ("a: " + "x" * MAX_BYTES, "job.yaml", "a Kubernetes object may have", "configMapRef"),
    "control character": ("a: \x00", "job.yaml", "U+0000", "UTF-8"),
    "yes or no in one letter": ("a: {b: n}\n", "a.b", "kubectl reads as false", "in quotes if it"),
    "underscores": (
        "a: 1_000\n",
        "a",
        "kubectl reads as 1000",
        "write `1000`",
    ),
    "binary": ("a: [0b11]\n", "a[0]", "kubectl reads as 3", "in quotes"),
    "odd hexadecimal": ("a: 0X1F\n", "a", "kubectl reads as 31", "in quotes"),
    "a root that surprises": ("y\n", "job.yaml", "kubectl reads as true", "in quotes"),
    "joined colon": ("a: [b:]\n", "job.yaml line 1", "`:` after `b`", "a blank after the colon"),
    "tab before a block": ("a: |\n  \tb\n", "a", "begins with a tab", "`|2`"),
    "byte order mark within": ("a: \ufeffb\n", "job.yaml", "U+FEFF", "without byte order marks"),
    "half a character": ('a: "\\ud83d"\n', "a", "half of a surrogate pair", "itself"),
    "plain tag": ("a: ! b\n", "a", "`!`", "without a tag"),
    "tag of a list": ("a: !!seq [b]\n", "a", "has the tag", "without a tag"),
    "second anchor": (
        "a: &x 1\nb: &x 2\n",
        "job.yaml line 2, column 4",
        "second occurrence",
        "check",
    ),
    "deep by aliases": (
        "a: &x " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*x" + "]" * 20 + "\n",
        "job.yaml line 2",
        "too deep",
        "at most 32 levels",
    ),
    "lone surrogate": ("a: \ud800", "job.yaml", "U+D800", "UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_plain_yaml_says_where_and_what_to_do(case):
    text, field, problem, fix = case
    with pytest.raises(InvalidInputError) as caught:
        load_yaml(text, "job.yaml")
    (fault,) = caught.value.faults
    assert fault.field == field
    assert problem in fault.problem
    assert fix in fault.fix


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("---\n---\n", "is empty"),
        ("just text", 'is "just text", not a mapping'),
        ("[1, 2]", "is a list of 2, not a mapping"),
        ("7", "is 7, not a mapping"),
    ],
)
def test_what_is_no_mapping_is_no_job(text, problem):
    with pytest.raises(InvalidInputError) as caught:
        parse_job(text, "mine.yaml")
    (fault,) = caught.value.faults
    assert (fault.field, fault.problem) == ("mine.yaml", problem)
    assert "kind: FederatedJob" in fault.fix


def test_several_faults_of_one_file_come_together():
    with pytest.raises(InvalidInputError) as caught:
        load_yaml("a: 1\na: 2\nb: !x 1\n1: c\n", "f")
    assert [fault.field for fault in caught.value.faults] == ["a", "b", "f line 4"]


@pytest.mark.parametrize(
    "value",
    [
        *("1e-3", "yes", "010", "2026-01-02", "", "null", " a ", "a\nb\n", "a\n  b", "\ttab\nx"),
        *("é: #", "\r\n", "x\u2028y", "- a", "*a", "=", "<<", "trailing \nspace", "\n"),
    ],
)
def test_text_survives_dumping(value):
    assert load_yaml(dump_yaml({"a": value}), "f").data == {"a": value}


def test_a_file_of_code_is_dumped_as_a_block():
    assert "inline: |" in dump_yaml({"inline": "import torch\n\n\nclass Net:\n    pass\n"})


def test_dotted_paths():
    assert dotted(("spec", "shards", "items", 2, "name")) == "spec.shards.items[2].name"
    assert dotted(()) == ""


def test_an_error_without_a_place_names_the_file():
    fault = syntax_fault(yaml.YAMLError("odd"), "job.yaml")
    assert (fault.field, fault.problem) == ("job.yaml", "is not YAML")
    assert "name: value" in fault.fix
