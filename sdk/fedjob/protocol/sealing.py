"""Encrypts an offer of presigned URLs for one client: X25519, HKDF-SHA256, AES-256-GCM.

A status can be read by everyone who may read the job; a presigned URL must not. So the operator
encrypts to the public key that the client wrote into the job's annotations: only the process that
holds the private half reads it. Each message has a key pair of its own, so a key never encrypts
twice.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING

from fedjob.errors import Fault, FedjobError, InvalidInputError
from fedjob.reasons import Reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_BYTES = 32
"""Bytes of a public or private key."""
MOST_PLAIN = 8 * 1024 * 1024
"""Bytes of a message before compression: bounds the memory that opening one takes."""
_VERSION = b"\x01"
_NONCE_BYTES = 12


class SealError(FedjobError):
    """A sealed message cannot be opened with this key."""

    reason = Reason.CREDENTIALS_REFUSED


def new_private_key() -> bytes:
    """The private half of a new key pair: 32 bytes that must stay with the client."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.generate().private_bytes_raw()


def public_key(private: bytes) -> str:
    """The public half, as the annotation fedjob.dev/transfer-key has it."""
    return base64.b64encode(_private(private).public_key().public_bytes_raw()).decode()


def seal(plain: bytes, recipient: str, context: str) -> str:
    """Compresses and encrypts a message.

    Args:
        plain: At most 8 MiB.
        recipient: The public key of `public_key`.
        context: What the message is about; opening it needs the same text.

    Returns:
        Base64 text.

    Raises:
        InvalidInputError: `recipient` is not a public key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(plain) > MOST_PLAIN:
        raise ValueError(f"a sealed message has at most {MOST_PLAIN} bytes, not {len(plain)}")
    theirs = parse_public_key(recipient)
    own = X25519PrivateKey.generate()
    sender = own.public_key().public_bytes_raw()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:  # a point of low order: everyone knows the shared secret
        raise _no_key(recipient) from None
    key, nonce = _derive(shared, sender, theirs, context)
    body = AESGCM(key).encrypt(nonce, zlib.compress(plain, 9), context.encode())
    return base64.b64encode(_VERSION + sender + body).decode()


def unseal(sealed: str, private: bytes, context: str) -> bytes:
    """Decrypts and decompresses a message of `seal`.

    Args:
        sealed: The text of `seal`.
        private: The key of `new_private_key`.
        context: As it was given to `seal`.

    Raises:
        SealError: It is for another key or context, or was changed on its way.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    own = _private(private)
    try:
        raw = base64.b64decode(sealed, validate=True)
        if raw[:1] != _VERSION or len(raw) < 1 + KEY_BYTES:
            raise _unreadable("it has another format; use the operator's version of fedjob")
        sender, body = raw[1 : 1 + KEY_BYTES], raw[1 + KEY_BYTES :]
        shared = own.exchange(X25519PublicKey.from_public_bytes(sender))
        key, nonce = _derive(shared, sender, own.public_key().public_bytes_raw(), context)
        packed = AESGCM(key).decrypt(nonce, body, context.encode())
        inflate = zlib.decompressobj()
        plain = inflate.decompress(packed, MOST_PLAIN)
    except (binascii.Error, InvalidTag, ValueError, zlib.error):
        raise _unreadable("it is for another key, or damaged; ask for a new offer") from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise _unreadable("it is too large; ask for a new offer")
    return plain


def parse_public_key(text: str) -> bytes:
    """The 32 bytes of a public key.

    Raises:
        InvalidInputError: It is not one.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _no_key(text) from None
    if len(raw) != KEY_BYTES:
        raise _no_key(text)
    return raw


def _no_key(text: str) -> InvalidInputError:
    problem = f"`{text[:64]}` is not an X25519 public key"
    fix = "let `fedjob` write it, or give base64 of 32 bytes"
    return InvalidInputError([Fault("metadata.annotations[fedjob.dev/transfer-key]", problem, fix)])


def _unreadable(why: str) -> SealError:
    return SealError(f"the operator's offer cannot be opened: {why}")


def _private(private: bytes) -> X25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private)


def _derive(shared: bytes, sender: bytes, recipient: bytes, context: str) -> tuple[bytes, bytes]:
    """Key and nonce of one message; both keys are in the salt, as RFC 9180 binds them."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b"fedjob transfer 1\0" + context.encode()
    made = HKDF(SHA256(), 32 + _NONCE_BYTES, salt=sender + recipient, info=info).derive(shared)
    return made[:32], made[32:]
