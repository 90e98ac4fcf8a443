"""A job file means the same to fedjob and to kubectl, or fedjob refuses it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedjob.errors import InvalidInputError
from fedjob.spec.yaml import dump_yaml, load_yaml
from support.kubectl_reader import REFUSED, KubectlReader, kubectl_reader, number

__all__ = ["kubectl_reader"]

PIECES = [
    *("a", "b", "aa", "é", "😀", "1", "0x1", "1_0", "1e3", ".inf", "2026-01-02", "12:30", "y"),
    *("c: ", "a: ", "? ", ": ", ":", "- ", "-", "--", "<<: ", ", ", ",", "[", "]", "{", "}"),
    *("\n", "\n  ", "\n    ", " ", "\t", "\r\n", "\x85", "\u2028", "# c", "#", " #", "\\\n"),
    *("'", '"', "''", '""', "\\", "\\n", "\\x41", "\\ud83d", "\\u00e9", "|", ">", "|-", "|2"),
    *("&x ", "*x", "!!str ", "!", "~", "null", "%", "@", "`", "=", "\ufeff", "\x7f", "\x00"),
]
"""What YAML is made of; several documents in one file are tested with our reader alone."""
DOCUMENTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from([*PIECES, "---", "...", "a" * 60 + " "]), max_size=6).map("".join),
).filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
DATA = st.recursive(
    st.one_of(TEXTS, NUMBERS, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def exact(value: Any) -> Any:
    """A value with the types of its parts, so that 1, 1.0 and true differ."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return type(value), value


def finite(value: Any) -> bool:
    """Whether no number in a document is infinite or NaN: those are refused by the models."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def check(reader: KubectlReader, documents: Sequence[str]) -> float:
    """Compares the two readers; the share of the documents that fedjob takes."""
    taken = []
    for document in documents:
        with contextlib.suppress(InvalidInputError):
            ours = load_yaml(document, "job.yaml").data
            if finite(ours):
                taken.append((document, ours))
    theirs = reader.read([document for document, _ in taken]) if taken else []
    for (document, ours), sent in zip(taken, theirs, strict=True):
        assert sent is not REFUSED, f"{document!r}: fedjob reads {ours!r}, kubectl refuses it"
        assert exact(ours) == exact(sent), document
    return len(taken) / len(documents)


@pytest.mark.parametrize(
    ("alphabet", "least"),
    [("01_.x-", 0.4), ("0be+o9", 0.6), ("yYnN~1", 0.9), (": a,[", 0.2), ("|>\n1 a", 0.2)],
)
def test_short_texts_are_read_as_kubectl_reads_them(
    kubectl_reader: KubectlReader, alphabet: str, least: float
) -> None:
    """Every text of up to four characters as a value, and of up to three elsewhere."""
    texts = [
        "".join(letters)
        for length in range(5)
        for letters in itertools.product(alphabet, repeat=length)
    ]
    short = [text for text in texts if len(text) < 4]
    values = [f"a: {text}\n" for text in texts]
    keys, items = [f"{text}: a\n" for text in short], [f"[{text}]\n" for text in short]
    assert check(kubectl_reader, values + keys + items) > least


@settings(max_examples=60, deadline=None)
@given(st.lists(DOCUMENTS, min_size=1, max_size=60))
@example(["|\n    \tx", "a: [b:]", "\ufeff\ufeff #", 'a: "\\ud83d"', "a: {b: n}"])
def test_documents_are_read_as_kubectl_reads_them(
    kubectl_reader: KubectlReader, documents: list[str]
) -> None:
    check(kubectl_reader, documents)


@settings(max_examples=60, deadline=None)
@given(st.lists(DATA, min_size=1, max_size=20))
@example([{"n": 5, "norm": "y", "hex": "0X1F", "steps": "1_000", "mask": "0b11"}])
@example([{"y": "N", "1_0": "<<", "12:30": "2026-01-02", "a": "\tb\nc", "d": 1e22}])
def test_both_read_what_fedjob_writes(kubectl_reader: KubectlReader, values: list[Any]) -> None:
    documents = [dump_yaml(value) for value in values]
    for value, document, sent in zip(
        values, documents, kubectl_reader.read(documents), strict=True
    ):
        read = load_yaml(document, "job.yaml").data
        assert exact(read) == exact(sent)
        assert read == as_json(value)


def as_json(value: Any) -> Any:
    """Data as it comes out of JSON: 2.0 is 2, and an integer beyond 64 bits is a float."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return number(str(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return number(f"{Decimal(repr(value)):.0f}")
    return value
