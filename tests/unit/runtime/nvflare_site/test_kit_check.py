"""A worker's kit is checked before NVFlare would only try again, with everything wrong at once."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fedjob_runtime.nvflare_site.kit_check import FILES, KitError, check_kit
from support.security_pki import Authority, certificate_in

KEY = serialization.PrivateFormat.PKCS8
PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("job")


@pytest.fixture(scope="module")
def whole(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good kit of worker-0."""
    folder = tmp_path_factory.mktemp("kit")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    maker = Authority("worker-0")  # only to have a certificate with this key's sort
    text = key.private_bytes(PEM, KEY, serialization.NoEncryption())
    (folder / "client.key").write_bytes(text)
    (folder / "client.crt").write_bytes(
        authority.issue(maker.certificate, "worker-0", key=key.public_key())
    )
    (folder / "rootCA.pem").write_bytes(authority.certificate.public_bytes(PEM))
    servers = [{"service": {"target": "localhost:1"}}]
    (folder / "fed_client.json").write_text(json.dumps({"servers": servers}))
    return folder


@pytest.fixture
def kit(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "kit"))


def test_a_good_kit_passes(kit: Path) -> None:
    check_kit(kit, "worker-0")


def flip(path: Path) -> None:
    """Another letter in the middle of the base64: still a file, no longer what was signed."""
    text = path.read_text()
    middle = len(text) // 2
    path.write_text(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])


def expire(kit: Path, authority: Authority) -> None:
    old = certificate_in(kit / "client.crt")
    (kit / "client.crt").write_bytes(authority.issue(old, days=-1))


def self_made(kit: Path, _: Authority) -> None:
    own = Authority("job")  # the very name of the job's authority
    old = certificate_in(kit / "client.crt")
    (kit / "client.crt").write_bytes(own.issue(old))


def anothers(kit: Path, authority: Authority) -> None:
    old = certificate_in(kit / "client.crt")
    (kit / "client.crt").write_bytes(authority.issue(old, "worker-1"))


def another_root(kit: Path, _: Authority) -> None:
    (kit / "rootCA.pem").write_bytes(Authority("job").certificate.public_bytes(PEM))


def another_key(kit: Path, _: Authority) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (kit / "client.key").write_bytes(key.private_bytes(PEM, KEY, serialization.NoEncryption()))


@pytest.mark.parametrize(
    ("damage", "file", "problem"),
    [
        (expire, "client.crt", "ended at"),
        (self_made, "client.crt", "is not signed by rootCA.pem"),
        (anothers, "client.crt", "is the certificate of worker-1, not of worker-0"),
        (another_root, "client.crt", "is not signed by rootCA.pem"),
        (another_key, "client.key", "is not the key of client.crt"),
        (lambda kit, _: (kit / "client.crt").write_text("x"), "client.crt", "is not a certificate"),
        (lambda kit, _: (kit / "rootCA.pem").write_text(""), "rootCA.pem", "is not a certificate"),
        (lambda kit, _: (kit / "client.key").write_text("x"), "client.key", "is not the key"),
        (
            lambda kit, _: (kit / "fed_client.json").write_text("{}"),
            "fed_client.json",
            "names no server",
        ),
    ],
    ids=[
        "expired",
        "self-made",
        "another's",
        "another root",
        "another key",
        "no certificate",
        "no root",
        "no key",
        "no server",
    ],
)
def test_a_kit_that_the_server_would_refuse(
    kit: Path,
    authority: Authority,
    damage: Callable[[Path, Authority], object],
    file: str,
    problem: str,
) -> None:
    damage(kit, authority)
    with pytest.raises(KitError) as caught:
        check_kit(kit, "worker-0")
    fault = next(f for f in caught.value.faults if f.field.endswith(file))
    assert fault.field.startswith("worker-0: kit file")
    assert problem in fault.problem
    assert "new ones are made" in fault.fix


@pytest.mark.parametrize("name", ["client.crt", "client.key", "rootCA.pem"])
def test_one_changed_letter_is_found(kit: Path, name: str) -> None:
    flip(kit / name)
    with pytest.raises(KitError, match="worker-0: kit file"):
        check_kit(kit, "worker-0")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(kit: Path, name: str) -> None:
    (kit / name).unlink()
    with pytest.raises(KitError, match=f"has no {name}"):
        check_kit(kit, "worker-0")


def test_a_clock_that_is_wrong_is_thought_of(kit: Path) -> None:
    begins = certificate_in(kit / "client.crt").not_valid_before_utc
    check_kit(kit, "worker-0", begins - datetime.timedelta(minutes=50))
    past = begins - datetime.timedelta(hours=2)
    with pytest.raises(KitError, match="is this machine's clock right"):
        check_kit(kit, "worker-0", past)
