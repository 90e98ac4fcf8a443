"""Certificates that a test makes and signs itself."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def begun(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    *,
    issuer: x509.Name | None = None,
    begins: datetime.timedelta = -datetime.timedelta(hours=1),
    ends: datetime.timedelta = datetime.timedelta(hours=3),
) -> x509.CertificateBuilder:
    """A certificate without extensions, yet to be signed.

    Args:
        subject: Whom it names.
        key: The subject's.
        issuer: Who will sign it, by default the subject itself.
        begins: When it becomes valid, from now.
        ends: When it ends, from now.
    """
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def write_pair(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, where: tuple[Path, Path]
) -> tuple[Path, Path]:
    """Writes a certificate and its key as PEM; returns where they are."""
    where[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    where[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return where


def self_made(folder: Path, *names: str) -> tuple[Path, Path]:
    """Files of a certificate, which is its own authority, and its key.

    Args:
        folder: Where they go.
        names: Host names and addresses that it is for.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        **dict.fromkeys((*others, "crl_sign", "encipher_only", "decipher_only"), False),
    )
    made = (
        begun(common_name(names[0]), key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([_named(n) for n in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return write_pair(made, key, (folder / "certificate.pem", folder / "key.pem"))


def _named(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)
