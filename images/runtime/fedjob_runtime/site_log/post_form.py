"""Sends bytes by a presigned POST form: the store checks key and size, the sender holds no keys."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_SECONDS = 10.0


def post_form(file: Path, data: bytes, timeout: float = TIMEOUT_SECONDS) -> bool:
    """Posts `data` by the form in `file`, which is read at each call, since it is renewed.

    Args:
        file: JSON with `url` and `fields`.
        data: What the form's key will hold.
        timeout: Seconds.

    Returns:
        True.

    Raises:
        OSError: There is no form, or the store refuses it or does not answer; without its URL.
    """
    try:
        form = json.loads(file.read_text())
        url, fields = str(form["url"]), dict(form["fields"])
    except (ValueError, KeyError, TypeError):
        msg = f"{file.name} is not a presigned form"
        raise OSError(msg) from None
    if not url.startswith(("http://", "https://")):
        msg = f"{file.name} has no http(s) URL"
        raise OSError(msg)
    body, kind = form_body(fields, data)
    request = urllib.request.Request(  # noqa: S310 (checked)
        url, data=body, headers={"Content-Type": kind}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310 (checked)
            return True
    except urllib.error.HTTPError as error:
        error.close()
        msg = f"the store answered {error.code}"
        raise OSError(msg) from None


def form_body(fields: Mapping[str, str], data: bytes) -> tuple[bytes, str]:
    """The body of a form with one file, which stands last, and its Content-Type."""
    boundary = secrets.token_hex(16)
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = "".join([*lines, head]).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"
