"""Checks a worker's startup kit before NVFlare uses it: its own, complete and in date.

The server refuses a wrong certificate by closing the connection, and NVFlare's client retries
without naming a reason. This check only helps honest workers; the server checks everything itself.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason

FILES = ("fed_client.json", "rootCA.pem", "client.crt", "client.key")

SKEW = timedelta(hours=1)
"""How far this machine's clock may be behind: NVFlare's retries bridge such a time."""

_NEW = "delete the job's kits so that new ones are made, or mount the one made for this worker"


class KitError(InvalidInputError):
    """The kit cannot be used; a restart does not help."""

    reason = Reason.KIT_INVALID


def check_kit(folder: Path, worker: str, now: datetime | None = None) -> None:
    """Checks a worker's kit as the server will.

    Args:
        folder: The kit: the four files of `FILES`.
        worker: The name that the certificate has to carry.
        now: The time; default is the clock's.

    Raises:
        KitError: A file is missing or damaged, or the certificate is another worker's, not yet or
            no longer valid, not signed by rootCA.pem, or not of client.key. All faults at once.
    """
    faults = [
        Fault(f"{worker}: kit {folder}", f"has no {name}", _NEW)
        for name in FILES
        if not (folder / name).is_file()
    ]
    if faults:
        raise KitError(faults)
    problems: list[tuple[str, str]] = []
    try:
        json.loads((folder / "fed_client.json").read_text())["servers"][0]["service"]["target"]
    except (ValueError, LookupError, TypeError):
        problems.append(("fed_client.json", "names no server"))
    authority = _certificate(folder / "rootCA.pem", problems)
    own = _certificate(folder / "client.crt", problems)
    if own is not None:
        problems += [("client.crt", text) for text in _certificate_problems(own, worker, now)]
        if not _has_key(own, folder / "client.key"):
            problems.append(("client.key", "is not the key of client.crt"))
    if own is not None and authority is not None and not _signed_by(own, authority):
        problems.append(("client.crt", "is not signed by rootCA.pem, this job's authority"))
    if problems:
        raise KitError(Fault(f"{worker}: kit file {f}", text, _NEW) for f, text in problems)


def _certificate(path: Path, problems: list[tuple[str, str]]) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        problems.append((path.name, "is not a certificate"))
        return None


def _certificate_problems(
    certificate: x509.Certificate, worker: str, now: datetime | None
) -> list[str]:
    found: list[str] = []
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else "nobody"
    if name != worker:
        found.append(f"is the certificate of {name}, not of {worker}")
    now = now or datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        found.append(f"ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if now + SKEW < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        found.append(f"begins at {begins} UTC only: is this machine's clock right?")
    return found


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _has_key(certificate: x509.Certificate, path: Path) -> bool:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return key.public_key() == certificate.public_key()
