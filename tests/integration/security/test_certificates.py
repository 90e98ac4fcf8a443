"""The certificates that the provisioner makes: one side each, and as long as their authority."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedjob_runtime.nvflare_site.provisioning import make_kits

DAYS = 400


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kits")
    make_kits(
        out, project="digits", server_name="digits-server", hosts=["digits.team.svc"],
        workers=["worker-0"], port=8002, valid_days=DAYS,
    )  # fmt: skip
    return out


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize(
    ("file", "side"),
    [
        ("server/server.crt", ExtendedKeyUsageOID.SERVER_AUTH),
        ("admin/client.crt", ExtendedKeyUsageOID.CLIENT_AUTH),
        ("worker-0/client.crt", ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_certificate_is_for_one_side_and_as_long_as_its_authority(
    kits: Path, file: str, side: x509.ObjectIdentifier
) -> None:
    found = certificate(kits / file)
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [side]
    authority = certificate(kits / "server/rootCA.pem")
    assert found.not_valid_after_utc == authority.not_valid_after_utc
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days in (DAYS - 1, DAYS)


def test_key_of_the_authority_is_nowhere(kits: Path) -> None:
    keys = sorted(str(path.relative_to(kits)) for path in kits.rglob("*.key"))
    assert keys == ["admin/client.key", "server/server.key", "worker-0/client.key"]
    texts = [path.read_text() for path in kits.rglob("*") if path.is_file()]
    assert sum("PRIVATE KEY" in text for text in texts) == len(keys)
