"""An authority whose key a test has: new certificates for kits, expired ones, other names."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from support.certificates import begun, common_name

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


class Authority:
    """A self-signed root; RSA, as NVFlare's provisioner makes it."""

    def __init__(self, name: str) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._subject = common_name(name)
        self._id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = (
            begun(self._subject, self._key.public_key(), begins=-DAY, ends=DAY)
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
        own = old.public_key()
        assert isinstance(own, RSAPublicKey)
        builder = begun(
            common_name(cn) if cn else old.subject,
            key or own,
            issuer=self._subject,
            begins=(days - 10) * DAY,
            ends=days * DAY,
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
