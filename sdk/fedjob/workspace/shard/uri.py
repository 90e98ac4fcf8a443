"""Where a sample's file is: a path in its own shard, or an https address (CONTRACT rows 18, 19)."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

MAX_URI = 4096
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
# Most paths match this, which is fast: a manifest may have a million of them.
_PLAIN = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

_TO_SHARD = "put the file into the shard and write its relative path"


class UriRefusedError(ValueError):
    """This address may not be used.

    Attributes:
        problem: What is wrong with it.
        fix: What to write instead.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}")
        self.problem = problem
        self.fix = fix


def local_path(uri: str) -> str | None:
    """The normalised path within the shard, `/` between its parts; None for an https address.

    `file://images/a%20b.png` and `images/a b.png` are the same file: only the former is
    percent-decoded, since only it is a URI (RFC 3986).

    Raises:
        UriRefusedError: Neither a path within the shard nor an https address.
    """
    if not uri:
        raise UriRefusedError("is empty", "write the file's path in the shard")
    if len(uri) > MAX_URI:
        raise UriRefusedError(f"is longer than {MAX_URI} characters", "use a shorter path")
    if _PLAIN.fullmatch(uri):
        return uri
    if _CONTROL.search(uri):
        raise UriRefusedError("holds a control character", "rename the file")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return _relative(uri)
    name = scheme.group(1).lower()
    if len(name) == 1:
        raise UriRefusedError(f"{uri!r} names a drive", _TO_SHARD)
    if name == "file":
        return _file(uri)
    if name == "https":
        _check_https(uri)
        return None
    raise _refused_scheme(name, uri)


def _file(uri: str) -> str:
    rest = uri[len("file:") :]
    if not rest.startswith("//") or rest.startswith("///"):
        raise UriRefusedError(
            f"{uri!r} is absolute: it would name a file of the worker's own system", _TO_SHARD
        )
    return _relative(unquote(rest[2:]))


def _relative(path: str) -> str:
    shown = repr(path[:200])
    if _CONTROL.search(path):
        raise UriRefusedError("holds a control character", "rename the file")
    if "\\" in path:
        raise UriRefusedError(f"{shown} holds a backslash", "write `/` between folders")
    if path.startswith(("/", "~")):
        raise UriRefusedError(f"{shown} is absolute", _TO_SHARD)
    if path.endswith("/"):
        raise UriRefusedError(f"{shown} is a folder", "name a file")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UriRefusedError(f"{shown} leaves the shard by `..`", _TO_SHARD)
    if not parts:
        raise UriRefusedError(f"{shown} names no file", "write the file's path in the shard")
    return "/".join(parts)


def _check_https(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UriRefusedError(f"{uri[:200]!r} is not an address: {error}", "correct it") from None
    if not host or port == 0 or " " in uri:
        raise UriRefusedError(f"{uri[:200]!r} is not an address", "write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise UriRefusedError(
            f"the address at {host} carries a password", "use a presigned address instead"
        )


def _refused_scheme(name: str, uri: str) -> UriRefusedError:
    if name == "http":
        return UriRefusedError(
            "http is not encrypted, so the image could be changed", "write https://"
        )
    if name == "data":
        return UriRefusedError("data: is not read", _TO_SHARD)
    if name in ("s3", "gs", "az"):
        fix = f"{_TO_SHARD}, or use a presigned https address"
        return UriRefusedError(f"{name}:// is not read by workers", fix)
    return UriRefusedError(
        f"{uri[:80]!r} has the unknown scheme {name}:",
        "use a path in the shard or https:// (a file name with a colon: write `./` before it)",
    )
