"""Sealed messages: only the holder of the key reads them, and only in their context."""

from __future__ import annotations

import base64
import os

import pytest

from fedjob.errors import InvalidInputError
from fedjob.protocol.sealing import (
    MOST_PLAIN,
    SealError,
    new_private_key,
    parse_public_key,
    public_key,
    seal,
    unseal,
)

PRIVATE = new_private_key()
PUBLIC = public_key(PRIVATE)


def test_the_holder_of_the_key_reads_the_message() -> None:
    assert unseal(seal(b"urls", PUBLIC, "uid/upload"), PRIVATE, "uid/upload") == b"urls"


def test_the_text_shows_nothing_and_never_repeats() -> None:
    first, second = (seal(b"https://store/secret", PUBLIC, "c") for _ in range(2))
    assert first != second
    assert b"secret" not in base64.b64decode(first)


def test_repetitive_messages_are_compressed() -> None:
    assert len(seal(b"https://store/bucket/part" * 4000, PUBLIC, "c")) < 2000


@pytest.mark.parametrize("other", ["uid/results", "another/upload", ""])
def test_another_context_is_refused(other: str) -> None:
    with pytest.raises(SealError, match="ask for a new offer"):
        unseal(seal(b"x", PUBLIC, "uid/upload"), PRIVATE, other)


def test_another_key_is_refused() -> None:
    with pytest.raises(SealError, match="another key"):
        unseal(seal(b"x", PUBLIC, "c"), new_private_key(), "c")


def test_every_changed_byte_is_noticed() -> None:
    raw = base64.b64decode(seal(b"x", PUBLIC, "c"))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(SealError):
            unseal(base64.b64encode(changed).decode(), PRIVATE, "c")


@pytest.mark.parametrize("text", ["", "no base64!", base64.b64encode(b"\x02" * 90).decode()])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(SealError):
        unseal(text, PRIVATE, "c")


def test_a_message_that_would_take_too_much_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        seal(b"\0" * (MOST_PLAIN + 1), PUBLIC, "c")
    assert len(unseal(seal(b"\0" * MOST_PLAIN, PUBLIC, "c"), PRIVATE, "c")) == MOST_PLAIN


@pytest.mark.parametrize(
    "text", ["", "x", "not base64 \n", base64.b64encode(bytes(31)).decode(), "é"]
)
def test_what_is_not_a_public_key_is_refused_with_the_annotation(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        seal(b"x", text, "c")
    assert caught.value.faults[0].field == "metadata.annotations[fedjob.dev/transfer-key]"


def test_a_public_key_of_low_order_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not an X25519 public key"):
        seal(b"x", base64.b64encode(bytes(32)).decode(), "c")


def test_the_public_key_has_the_bytes_of_its_text() -> None:
    assert len(parse_public_key(PUBLIC)) == 32
    assert parse_public_key(base64.b64encode(b"k" * 32).decode()) == b"k" * 32
    assert public_key(os.urandom(32)) != PUBLIC
