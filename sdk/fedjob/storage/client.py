"""The one place that makes a boto3 client and turns its exceptions into ours."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fedjob.errors import Fault, InvalidInputError
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import (
    AlreadyExistsError,
    BucketMissingError,
    CredentialsRefusedError,
    ObjectMissingError,
    StoreError,
    StoreUnreachableError,
    StreamCutError,
    Where,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client

    from fedjob.protocol.config import StoreLocation

MOST_ANSWER = 4 << 20
"""Bytes of an answer other than an object: a page of 1,000 long keys has 3.5 MiB."""
_REFUSED = frozenset(
    {
        "403", "AccessDenied", "AllAccessDisabled", "ExpiredToken", "Forbidden",
        "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired",
    }
)  # fmt: skip
_EXISTS = frozenset(
    {
        "409", "412", "BucketAlreadyExists", "BucketAlreadyOwnedByYou",
        "ConditionalRequestConflict",
        "PreconditionFailed",
    }
)  # fmt: skip
_BUSY = frozenset(
    {
        "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown",
        "Throttling", "TooManyRequests",
    }
)  # fmt: skip
_KEYS_FIX = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in a cluster: the Secret named by "
    "spec.storage.secretRef) to keys that may read and write this bucket"
)


def connect(
    location: StoreLocation,
    credentials: Credentials | None,
    *,
    attempts: int,
    connect_timeout: float,
    read_timeout: float,
) -> S3Client:
    """A thread-safe client of the store.

    Args:
        location: The endpoint and region; bucket and prefix do not matter here.
        credentials: The keys; with them the user's own AWS settings are not read at all. None is
            boto3's own chain (environment, profile, pod identity).
        attempts: Tries of each request, with exponential backoff, on 5xx, timeouts and refused
            connections (botocore's `standard` mode).
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the next bytes of an answer.

    Raises:
        InvalidInputError: When the endpoint is not a URL.
    """
    import boto3.session
    from botocore.config import Config

    options: dict[str, Any] = {}
    if _is_loopback(location.endpoint):
        options["proxies"] = {}  # HTTP_PROXY must not send what stays on this machine away from it
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=32,
        # boto3's default CRC32 trailers need aws-chunked bodies, which older S3-compatible stores
        # refuse. We send Content-MD5 instead, which all of them check.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **options,
    )
    keys: dict[str, Any] = {}
    if credentials is not None:
        keys = {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.session_token,
        }
    # A new session each time: boto3's default session is not safe to make clients from several
    # threads.
    session = boto3.session.Session(
        botocore_session=None if credentials is None else _session_without_user_settings()
    )
    try:
        client = session.client(
            "s3",
            endpoint_url=location.endpoint,
            region_name=location.region,
            config=config,
            **keys,
        )
    except ValueError as error:
        raise InvalidInputError(
            [
                Fault(
                    "spec.storage.endpoint",
                    f"{location.endpoint!r} is not the URL of a store",
                    "write it as http://host:port or https://host",
                )
            ]
        ) from error
    _bound_answers(client)
    return client


def _bound_answers(client: S3Client) -> None:
    """Has answers that botocore holds in memory cut off at `MOST_ANSWER` bytes.

    It reads listings and errors whole, of any size, and parses them; only objects are streamed.
    """
    from botocore.exceptions import HTTPClientError

    http = client._endpoint.http_session  # type: ignore[attr-defined]

    def send(request: Any, **_: Any) -> Any:
        if request.stream_output:
            return None  # an object: its reader has a bound
        request.stream_output = True
        answer = http.send(request)
        data = bytearray()
        for piece in answer.raw.stream(1 << 16):
            data += piece
            if len(data) > MOST_ANSWER:
                answer.raw.close()
                raise HTTPClientError(error=f"an answer of more than {MOST_ANSWER} bytes")
        answer._content = bytes(data)
        return answer

    client.meta.events.register("before-send.s3", send)


def _session_without_user_settings() -> Session:
    """A botocore session that reads neither ~/.aws nor any AWS_* variable but AWS_CA_BUNDLE.

    boto3 reads profile and configuration even when it is given the keys, so a profile that does
    not exist, a file that does not parse or an odd AWS_DEFAULTS_MODE would stop a client that needs
    none of them (boto/boto3#4121). A CA bundle is a matter of the machine, not of the user's
    account.
    """
    from botocore.configprovider import (
        BOTOCORE_DEFAUT_SESSION_VARIABLES,
        ConstantProvider,
    )
    from botocore.session import Session

    defaults = {
        name: default
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
        if name != "ca_bundle"
    }
    defaults |= {"config_file": os.devnull, "credentials_file": os.devnull}
    session = Session(session_vars={name: (None, None, defaults[name], None) for name in defaults})
    session.get_component("config_store").set_config_provider("s3", ConstantProvider({}))
    return session


def _is_loopback(endpoint: str | None) -> bool:
    host = urlsplit(endpoint).hostname if endpoint else None
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def translated(where: Where, *, streaming: bool = False) -> Iterator[None]:
    """Raises `StoreError`s in place of boto3's exceptions.

    Args:
        where: What the block is about.
        streaming: The block reads the body of an answer, so a lost connection is a
            `StreamCutError`.
    """
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        raise _from_answer(where, error) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise CredentialsRefusedError(where, "no credentials found", _KEYS_FIX) from error
    except (boto.CredentialRetrievalError, boto.TokenRetrievalError) as error:
        raise CredentialsRefusedError(where, f"no credentials: {error}", _KEYS_FIX) from error
    except boto.SSLError as error:
        raise StoreError(
            where,
            f"TLS failed: {error}",
            "use an endpoint whose certificate this machine trusts, or name its CA in "
            "AWS_CA_BUNDLE",
        ) from error
    except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError) as error:
        kind = StreamCutError if streaming else StoreUnreachableError
        raise kind(
            where,
            f"no answer: {error}",
            "check that the store runs and that spec.storage.endpoint is its address, then try "
            "again",
        ) from error
    except (boto.BotoCoreError, boto.ParamValidationError) as error:
        raise StoreError(
            where, str(error), "check spec.storage and the AWS_* environment"
        ) from error


def _from_answer(where: Where, error: ClientError) -> StoreError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    answer = f"{code} {message}".strip()
    if status == 404 and code in {"", "404"} and not error.operation_name.startswith("Head"):
        # S3 names what is missing, save for HEAD. Kubernetes may send a connection elsewhere while
        # a store's endpoints change: a proxy that answers there knows no job's objects.
        return StoreUnreachableError(
            where,
            "404 without an error code of S3: something else answers at its address",
            "try again; if it stays, check spec.storage.endpoint",
        )
    if code in {"NoSuchBucket", "NoSuchBucketPolicy"} or (status == 404 and not where.key):
        return BucketMissingError(
            where,
            "the bucket does not exist",
            f"create the bucket {where.bucket!r} or name another in spec.storage.bucket",
        )
    if code == "RequestTimeTooSkewed":
        return CredentialsRefusedError(
            where, f"the store refused our clock ({answer})", "set this machine's clock (NTP)"
        )
    if code in _EXISTS or status == 412:
        return AlreadyExistsError(where, "an object exists already", "read it, or use another key")
    if code in _REFUSED or status in {401, 403}:
        return CredentialsRefusedError(
            where, f"the store refused the credentials ({answer})", _KEYS_FIX
        )
    if status == 404:
        return ObjectMissingError(
            where, "the object does not exist", "upload it, or correct the key that names it"
        )
    if status >= 500 or status == 429 or code in _BUSY:
        return StoreUnreachableError(
            where, f"the store failed: HTTP {status} {answer}", "try again; see the store's own log"
        )
    return StoreError(
        where, f"the store refused: HTTP {status} {answer}", "see the store's own log for why"
    )
