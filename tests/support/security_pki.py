"""An authority whose key a test has: new certificates for kits, expired ones, other names."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
DAY = datetime.timedelta(days=1)


def a_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A self-signed root; RSA, as NVFlare's provisioner makes it."""

    def __init__(self, name: str) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._subject = a_name(name)
        self._id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self._subject)
            .issuer_name(self._subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(self._id, critical=False)
            .add_extension(
                x509.KeyUsage(**dict.fromkeys(USES, False) | {"key_cert_sign": True}), critical=True
            )
            .sign(self._key, hashes.SHA256())
        )

    def issue(
        self,
        old: x509.Certificate,
        cn: str | None = None,
        *,
        days: int = 1,
        key: RSAPublicKey | None = None,
    ) -> bytes:
        """The same certificate by this authority, PEM.

        Args:
            old: Its key, names and, by default, its subject.
            cn: Another subject.
            days: Until its end; below 0 it has ended.
            key: Another key.
        """
        end = datetime.datetime.now(datetime.UTC) + days * DAY
        own = old.public_key()
        assert isinstance(own, RSAPublicKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(a_name(cn) if cn else old.subject)
            .issuer_name(self._subject)
            .public_key(key or own)
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - 10 * DAY)
            .not_valid_after(end)
        )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._id), critical=False
        )
        for extension in old.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def take_over(self, kits: Path) -> None:
        """Makes every kit below `kits` one of this authority; keys and names stay."""
        root = self.certificate.public_bytes(serialization.Encoding.PEM)
        for kit in kits.iterdir():
            (kit / "rootCA.pem").write_bytes(root)
            for name in ("server.crt", "client.crt"):
                if (kit / name).exists():
                    (kit / name).write_bytes(self.issue(certificate_in(kit / name)))


def certificate_in(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())
