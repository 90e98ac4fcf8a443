"""A repository of images: the calls of the OCI distribution specification 1.1 that we need."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from fedjob_operator.image.errors import (
    BaseImageMissingError,
    ImageBuildFailedError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from fedjob_operator.image.layer import sha256_digest
from fedjob_operator.image.manifests import INDEXES, MANIFESTS, Document, read_document
from fedjob_operator.image.reference import Reference
from fedjob_operator.image.registry_connection import Access, Connection

_ACCEPT = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
_BINARY = {"Content-Type": "application/octet-stream"}
_COPY_ATTEMPTS = 3
_UPLOAD = (HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND)


class Repository:
    """One repository of a registry.

    Attributes:
        reference: Registry and repository, with the tag or digest that was asked for.
        access: How to reach the registry.
    """

    def __init__(self, reference: Reference, access: Access) -> None:
        """Sends nothing yet; raises what `Connection` raises."""
        self.reference = reference
        self.access = access
        self._connection = Connection(reference.host, access)
        self._path = f"/v2/{reference.repository}"

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def manifest(self, version: str) -> Document | None:
        """Fetches a manifest or index by tag or digest; None if it does not exist.

        Raises:
            ImageBuildFailedError: Its type is unknown, or its hash differs from its digest.
        """
        response = self._connection.request(
            "GET",
            f"{self._path}/manifests/{version}",
            headers=_ACCEPT,
            expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        name = f"{self.reference.name}:{version}"
        document = read_document(response.content, response.headers.get("Content-Type", ""), name)
        if version.startswith("sha256:"):
            self._check(version, response.content)
        return document

    def manifest_digest(self, version: str) -> str | None:
        """The digest of a tag, without fetching the manifest; None if it does not exist."""
        response = self._connection.request(
            "HEAD",
            f"{self._path}/manifests/{version}",
            headers=_ACCEPT,
            expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        digest = response.headers.get("Docker-Content-Digest")
        if digest is not None:
            return digest
        document = self.manifest(version)  # the header is only a SHOULD in the specification
        return document.digest if document is not None else None

    def blob(self, digest: str) -> bytes:
        """Fetches a small blob, such as a config.

        Raises:
            BaseImageMissingError: The registry has lost it.
            ImageBuildFailedError: Its hash differs from its digest.
        """
        response = self._connection.request(
            "GET",
            f"{self._path}/blobs/{digest}",
            expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise self._lost(digest)
        return self._check(digest, response.content)

    def has_blob(self, digest: str) -> bool:
        """Whether a blob exists."""
        response = self._connection.request(
            "HEAD",
            f"{self._path}/blobs/{digest}",
            expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        return response.status_code == HTTPStatus.OK

    def push_blob(self, data: bytes) -> str:
        """Uploads a blob unless it exists already; returns its digest."""
        digest = sha256_digest(data)
        if not self.has_blob(digest):
            self._finish(self._begin(), digest, data)
        return digest

    def push_manifest(self, version: str, document: Document) -> str:
        """Stores a manifest under a tag, which makes the image exist; returns its digest.

        Raises:
            ImageBuildFailedError: The registry stored something else, or refuses the manifest.
        """
        response = self._connection.request(
            "PUT",
            f"{self._path}/manifests/{version}",
            headers={"Content-Type": document.media_type},
            data=document.body,
            expect=(HTTPStatus.CREATED,),
        )
        actual = response.headers.get("Docker-Content-Digest", document.digest)
        if actual != document.digest:
            raise ImageBuildFailedError(
                self.reference.name,
                f"it stored the manifest as {actual}, not as {document.digest}",
                "use a registry that keeps manifests byte for byte",
            )
        return document.digest

    def take_layer(self, digest: str, source: Repository) -> None:
        """Mounts a blob of another repository, or copies it where it cannot be mounted.

        Raises:
            BaseImageMissingError: The source does not have the blob.
        """
        if source.reference.name == self.reference.name:
            return
        upload = None
        if source.reference.registry == self.reference.registry:
            try:
                upload = self._begin({"mount": digest, "from": source.reference.repository})
            except RegistryRefusedError:
                # Our user may not read the source repository, but the user of `source` may.
                upload = None
            else:
                if not upload:
                    return
        if not self.has_blob(digest):
            self._copy(digest, source, upload)

    def _copy(self, digest: str, source: Repository, upload: str | None) -> None:
        for attempt in range(1, _COPY_ATTEMPTS + 1):
            try:
                with source._open(digest) as stream:
                    self._finish(upload or self._begin(), digest, stream)
            except RegistryUnreachableError:
                if attempt == _COPY_ATTEMPTS:
                    raise
                upload = None  # a stream cannot be sent twice: begin a new upload
            else:
                return

    def _open(self, digest: str) -> _Stream:
        response = self._connection.request(
            "GET",
            f"{self._path}/blobs/{digest}",
            stream=True,
            headers={"Accept-Encoding": "identity"},
            expect=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        if response.status_code == HTTPStatus.NOT_FOUND:
            response.close()
            raise self._lost(digest)
        return _Stream(response, digest, self.reference.name)

    def _begin(self, mount: dict[str, str] | None = None) -> str:
        """Begins an upload; returns its URL, or "" if the blob was mounted."""
        query = f"?{urlencode(mount)}" if mount else ""
        response = self._connection.request(
            "POST", f"{self._path}/blobs/uploads/{query}", expect=_UPLOAD
        )
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise RegistryRefusedError(
                self.reference.registry,
                f"it does not know the repository {self.reference.repository}",
                self.access.secret,
            )
        return "" if response.status_code == HTTPStatus.CREATED else response.headers["Location"]

    def _finish(self, upload: str, digest: str, data: bytes | _Stream) -> None:
        parts = urlsplit(upload)
        query = urlencode([*parse_qsl(parts.query), ("digest", digest)])
        self._connection.request(
            "PUT",
            parts._replace(query=query).geturl(),
            headers=_BINARY,
            data=data,
            expect=(HTTPStatus.CREATED,),
        )

    def _check(self, digest: str, data: bytes) -> bytes:
        if sha256_digest(data) != digest:
            raise ImageBuildFailedError(
                self.reference.name,
                f"the registry's content of {digest} has another hash",
                "look for a broken registry, or a proxy that changes responses",
            )
        return data

    def _lost(self, digest: str) -> BaseImageMissingError:
        return BaseImageMissingError(
            self.reference.name,
            f"the registry has no blob {digest}",
            "push the image again",
        )


class _Stream:
    """The body of a blob download, as the body of an upload: known length, readable once.

    The last bytes are given only when all of them have the digest, so that no upload completes
    with others.
    """

    def __init__(self, response: requests.Response, digest: str, name: str) -> None:
        self._response = response
        self._length = int(response.headers.get("Content-Length", 0))
        self._digest, self._name = digest, name
        self._sha256 = hashlib.sha256()
        self._seen = 0

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(1 << 20):
            yield data

    def read(self, size: int = -1) -> bytes:
        """Reads up to `size` bytes: requests accepts a body with `read` and a length.

        Raises:
            ImageBuildFailedError: The bytes do not have the digest.
        """
        data: bytes = self._response.raw.read(size if size >= 0 else None)
        self._sha256.update(data)
        self._seen += len(data)
        whole = self._seen >= self._length or not data
        if whole and self._digest != f"sha256:{self._sha256.hexdigest()}":
            raise ImageBuildFailedError(
                self._name,
                f"the registry's content of {self._digest} has another hash",
                "look for a broken registry, or a proxy that changes responses",
            )
        return data
