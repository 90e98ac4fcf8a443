"""An image by its uri: in the shard, or downloaded once and cached (CONTRACT rows 18 and 19)."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from fedjob.atomic_files import write_bytes
from fedjob.workspace.shard.unicode_names import existing_file
from fedjob_runtime.training.data.addresses import allowed_hosts
from fedjob_runtime.training.data.download import MAX_BYTES, fetch, parse_url
from fedjob_runtime.training.data.pixels import MAX_PIXELS, decode
from fedjob_runtime.training.errors import ImageRefusedError, ImageUnavailableError

LOCKS = 64
"""Lock files of a cache; where two downloads share one, the second waits, no more."""

_LOCAL = "give a path in the shard (images/a.png or file://images/a.png), or an https:// address"


def open_image(
    uri: str,
    data_root: Path,
    *,
    allow_hosts: frozenset[str] | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """Opens an image.

    Args:
        uri: A path relative to the shard, `file://` and such a path, or `https://`.
        data_root: The shard's folder. Nothing outside it is opened, links included; downloads are
            kept in its `.cache`, so an address is fetched once, whichever process asks first.
        allow_hosts: Hosts (`host` or `host:port`) that may have private addresses; default: those
            in FEDJOB_ALLOW_IMAGE_HOSTS, separated by commas.
        max_bytes: Limit of a downloaded body.
        max_pixels: Limit of the decoded image.

    Returns:
        RGB, decoded.

    Raises:
        ImageRefusedError: http and other schemes, a path outside the shard, a private address, too
            large.
        ImageUnavailableError: No such file; the server cannot be reached or answers with an error.
        ImageInvalidError: It is not an image.
    """
    root = data_root.resolve()
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return decode(_local(uri, uri, root), uri, max_pixels)
    if scheme.lower() == "file":
        return decode(_local(unquote(rest), uri, root), uri, max_pixels)
    if scheme.lower() != "https":
        raise ImageRefusedError(f"{uri}: {scheme}:// is not allowed", _LOCAL)
    hosts = allowed_hosts() if allow_hosts is None else allow_hosts
    url = parse_url(uri)
    return decode(_cached(url, root, hosts, max_bytes, max_pixels), uri, max_pixels)


def _local(relative: str, uri: str, root: Path) -> Path:
    if "\0" in relative:
        raise ImageRefusedError(f"{uri!r} has a NUL character", _LOCAL)
    try:
        path = existing_file(root, relative).resolve()
        inside = path.is_relative_to(root)
        regular = path.is_file()  # a FIFO would never end
    except (OSError, RuntimeError) as error:  # a loop of links, a name too long
        raise ImageUnavailableError(f"{uri}: {error}"[:300], _LOCAL) from error
    if not inside:
        raise ImageRefusedError(f"{uri} is outside the shard", _LOCAL)
    if not regular:
        raise ImageUnavailableError(f"{uri} is not in the shard", _LOCAL)
    return path


def _cached(url: str, root: Path, hosts: frozenset[str], max_bytes: int, max_pixels: int) -> Path:
    """The downloaded file; it is in the cache only once it has been decoded without fault."""
    cache = root / ".cache"
    cache.mkdir(exist_ok=True)
    if cache.resolve() != cache:
        raise ImageRefusedError(f"{cache} is a link", "leave .cache out of the shard")
    key = hashlib.sha256(url.encode()).hexdigest()
    target = cache / key
    if target.is_file():
        return target
    with _locked(cache / f"lock-{int(key[:8], 16) % LOCKS}"):
        if not target.is_file():
            body = fetch(url, allow_hosts=hosts, max_bytes=max_bytes)
            decode(body, url, max_pixels)
            write_bytes(target, body, private=True)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock against threads and processes; the kernel frees it when its holder dies."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
