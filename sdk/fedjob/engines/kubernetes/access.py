"""The API server of a cluster, as kubectl reaches it: kubeconfig, context, namespace, or a pod."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fedjob.backoff import Backoff
from fedjob.engines.kubernetes.errors import (
    ClusterUnreachableError,
    KubeconfigError,
    NoClusterError,
    Request,
    error_for,
)
from fedjob.errors import Fault

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Answers that another try may mend; every request that is sent may be sent twice."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
PATIENCE_SECONDS = 15.0
"""How long a request is retried while the API server does not answer, or answers 429 or 5xx."""
RETRY = Backoff(0.2, 3.0, jitter=0.3)


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster, by the options that kubectl has.

    Attributes:
        context: Of the kubeconfig; None is its current one.
        namespace: None is the context's namespace, or `default`.
        kubeconfig: A file; None is $KUBECONFIG (several files too), or ~/.kube/config.
    """

    context: str | None = None
    namespace: str | None = None
    kubeconfig: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One HTTP request, however often it is sent."""

    method: str
    path: str
    request: Request
    query: Mapping[str, str]
    data: bytes | None = None
    content_type: str = ""
    preload: bool = True
    read_seconds: float = READ_SECONDS


class ApiServer:
    """Requests to the API server, with retries, credentials that are renewed, and typed errors.

    Safe for use from several threads.

    Attributes:
        namespace: Where jobs are looked for by default.
        default_namespace: That of the context, whatever the option says.
        context: The kubeconfig's context in use; empty in a pod.
    """

    def __init__(
        self,
        target: Target | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Reads the kubeconfig; sends nothing yet.

        Raises:
            NoClusterError: There is neither a kubeconfig nor a pod's service account.
            KubeconfigError: The kubeconfig cannot be read, or lacks the context.
        """
        self._target = target or Target()
        self._sleep = sleep
        self._patience = patience
        self._lock = threading.Lock()
        self._generation = 0
        self._client, self.context, default = self._load()
        self.default_namespace = default or "default"
        self.namespace = self._target.namespace or self.default_namespace

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._client.configuration.host)

    @property
    def client(self) -> ApiClient:
        """The client of the kubernetes package, with the credentials of now."""
        return self._client

    def close(self) -> None:
        """Close idle connections; the next request opens new ones."""
        self._client.rest_client.pool_manager.clear()

    def json(
        self,
        method: str,
        path: str,
        request: Request,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request and return the object in its answer.

        Args:
            method: The HTTP method.
            path: From the root, such as `/apis/fedjob.dev/v1alpha1/federatedjobs`.
            request: How messages name it.
            query: Parameters; values are quoted here.
            body: Sent as JSON.
            content_type: Of the body.

        Raises:
            ClusterUnreachableError: No answer, for as long as it was retried.
            FedjobError: See `error_for`.
        """
        call = _Call(
            method=method,
            path=path,
            request=request,
            query=query or {},
            data=None if body is None else json.dumps(body).encode(),
            content_type=content_type,
        )
        with self._answer(call) as answer:
            found = json.loads(answer.data)
        if not isinstance(found, dict):
            raise ClusterUnreachableError(
                f"{self.server} does not answer as an API server does; see the kubeconfig's server"
            )
        return found

    @contextmanager
    def stream(
        self,
        path: str,
        request: Request,
        query: Mapping[str, str],
        *,
        read_seconds: float,
    ) -> Iterator[Iterator[bytes]]:
        """The lines of an answer that does not end by itself, such as a watch or a log.

        A broken connection, or no byte for `read_seconds`, raises ConnectionError from the
        iteration: the caller knows where to continue.
        """
        call = _Call(
            method="GET", path=path, request=request, query=query, preload=False,
            read_seconds=read_seconds,
        )  # fmt: skip
        with self._answer(call) as answer:
            yield _lines(answer)

    def websocket(self, path: str, protocol: str, request: Request) -> Any:
        """A WebSocket of the websocket-client package to a path of the API server.

        Args:
            path: From the root, with its query.
            protocol: The subprotocol.
            request: How messages name it.

        Raises:
            ClusterUnreachableError: The API server does not answer, or the pod does not.
            FedjobError: See `error_for`.
        """
        from kubernetes.stream.ws_client import create_websocket
        from websocket import WebSocketBadStatusException, WebSocketException

        renewed = False
        while True:
            client, generation = self._client, self._generation
            headers = self._headers(client, "")
            headers["sec-websocket-protocol"] = protocol
            url = f"{client.configuration.host}{path}"
            try:
                # http becomes ws, https becomes wss.
                return create_websocket(client.configuration, f"ws{url[4:]}", headers)
            except WebSocketBadStatusException as error:
                if error.status_code == 401 and not renewed:
                    renewed = True
                    self._renew(generation)
                    continue
                raise error_for(error.status_code, error.resp_body or b"", request) from error
            except (WebSocketException, OSError) as error:
                raise _unreachable(client.configuration.host, error) from error

    @contextmanager
    def _answer(self, call: _Call) -> Iterator[BaseHTTPResponse]:
        answer = self._send(call)
        try:
            yield answer
        finally:
            # A streamed answer has bytes left: its connection cannot be used again.
            if not call.preload:
                answer.close()
            answer.release_conn()

    def _send(self, call: _Call) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError
        from urllib3.util import Timeout

        deadline = time.monotonic() + self._patience
        suffix = f"?{urlencode(call.query)}" if call.query else ""
        renewed = False
        attempt = 0
        while True:
            client, generation = self._client, self._generation
            pause: float | None = None
            try:
                answer: BaseHTTPResponse = client.rest_client.pool_manager.request(
                    call.method,
                    f"{client.configuration.host}{call.path}{suffix}",
                    body=call.data,
                    headers=self._headers(client, call.content_type if call.data else ""),
                    preload_content=call.preload,
                    retries=False,
                    redirect=False,
                    timeout=Timeout(connect=CONNECT_SECONDS, read=call.read_seconds),
                )
            except HTTPError as error:
                failure: Exception = _unreachable(client.configuration.host, error)
                if "certificate" in str(error).lower():
                    raise failure from error
            else:
                if 200 <= answer.status < 300:
                    return answer
                body = answer.data
                answer.release_conn()
                if answer.status == 401 and not renewed:
                    renewed = True
                    self._renew(generation)
                    continue
                failure = error_for(answer.status, body, call.request)
                if answer.status not in TRANSIENT:
                    raise failure
                pause = _retry_after(answer.headers.get("Retry-After"))
            attempt += 1
            delay = RETRY.delay(attempt, random.random())  # noqa: S311 (jitter, not a secret)
            pause = max(delay, pause or 0.0)
            if time.monotonic() + pause > deadline:
                raise failure
            self._sleep(pause)

    def _headers(self, client: ApiClient, content_type: str) -> dict[str, str]:
        headers = {"User-Agent": "fedjob", "Accept": "application/json, */*"}
        if content_type:
            headers["Content-Type"] = content_type
        # Runs exec plugins again when their credentials have expired.
        client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        return headers

    def _renew(self, generation: int) -> None:
        """Read the credentials again, once for all threads that were refused with the old ones."""
        with self._lock:
            if generation != self._generation:
                return
            old = self._client
            self._client, _, _ = self._load()
            self._generation += 1
            old.rest_client.pool_manager.clear()

    def _load(self) -> tuple[ApiClient, str, str]:
        """The client, its context and the context's namespace."""
        from kubernetes import client, config
        from kubernetes.config import ConfigException
        from yaml import YAMLError

        configuration = client.Configuration()
        files = self._files()
        if files is None:
            try:
                config.load_incluster_config(configuration)
            except ConfigException as error:
                raise NoClusterError(
                    "no cluster: neither $KUBECONFIG nor ~/.kube/config exists, and this is not a "
                    "pod; get a kubeconfig from whoever runs the cluster, or give --kubeconfig FILE"
                ) from error
            namespace = POD_NAMESPACE.read_text().strip() if POD_NAMESPACE.is_file() else ""
            return client.ApiClient(configuration), "", namespace
        try:
            contexts, current = config.list_kube_config_contexts(files)
            chosen = self._context(contexts, current, files)
            config.load_kube_config(files, chosen["name"], configuration, persist_config=False)
        except KubeconfigError:
            raise
        except (
            ConfigException, OSError, YAMLError, ValueError, TypeError, KeyError, AttributeError,
        ) as error:  # fmt: skip
            raise _unusable(files, error, self._target.context) from error
        namespace = str((chosen.get("context") or {}).get("namespace") or "")
        return client.ApiClient(configuration), str(chosen["name"]), namespace

    def _files(self) -> str | None:
        """The kubeconfig files as $KUBECONFIG lists them; None: use the pod's service account."""
        if self._target.kubeconfig is not None:
            path = self._target.kubeconfig.expanduser()
            if not path.is_file():
                fix = "give the path of a kubeconfig"
                raise KubeconfigError([Fault("--kubeconfig", f"{path} is not a file", fix)])
            return str(path)
        listed = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
        if any(Path(name).expanduser().is_file() for name in listed.split(os.pathsep) if name):
            return listed
        return None

    def _context(
        self, contexts: list[dict[str, Any]], current: dict[str, Any], files: str
    ) -> dict[str, Any]:
        wanted = self._target.context
        if wanted is None:
            return current
        for each in contexts:
            if each["name"] == wanted:
                return dict(each)
        raise _no_context(wanted, [str(each["name"]) for each in contexts], files)


def _no_context(wanted: str, names: list[str], files: str) -> KubeconfigError:
    fix = f"one of: {', '.join(sorted(names))}" if names else "the kubeconfig has no contexts"
    return KubeconfigError([Fault("--context", f"{files} has no context {wanted!r}", fix)])


def _unusable(files: str, error: Exception, context: str | None) -> KubeconfigError:
    problem = f"cannot be used: {str(error).splitlines()[0] if str(error) else error!r}"
    fix = "correct it, or give another with --kubeconfig FILE or --context NAME"
    if context is None and "current-context" in str(error):
        problem = "names no current-context"
        fix = "give --context NAME, or run `kubectl config use-context NAME`"
    return KubeconfigError([Fault(files, problem, fix)])


def _unreachable(host: str, error: Exception) -> ClusterUnreachableError:
    text = str(error)
    if "certificate" in text.lower():
        return ClusterUnreachableError(
            f"the certificate of the API server {host} is not trusted ({text}); correct "
            f"certificate-authority-data of the kubeconfig's cluster"
        )
    return ClusterUnreachableError(
        f"the API server {host} does not answer ({text}); see whether `kubectl cluster-info` "
        f"reaches it and your VPN is up, or choose another --context"
    )


def _retry_after(value: str | None) -> float | None:
    try:
        return None if value is None else min(max(float(value), 0.0), 60.0)
    except ValueError:
        return None


def _lines(answer: BaseHTTPResponse) -> Iterator[bytes]:
    """Lines without their ends, as soon as they have arrived."""
    from urllib3.exceptions import HTTPError

    rest = b""
    try:
        for chunk in answer.stream(65536, decode_content=True):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
    except (HTTPError, OSError) as error:
        raise ConnectionError(str(error)) from error
    if rest:
        yield rest
