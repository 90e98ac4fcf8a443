"""A local TCP port that leads to a port of a pod, through the API server.

The kubernetes package opens the WebSocket (TLS, proxies, credentials). Its own PortForward is not
used: it buffers without limit what the pod does not take, and a lost connection leaves its socket
open (docs/contributing/decisions/023).
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, Self

from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.errors import ClusterUnreachableError, Request
from fedjob.errors import FedjobError

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
"""Channels of the one port that is forwarded."""
_CHUNK = 256 * 1024
_BACKLOG = 64


class PortForward:
    """Listens on 127.0.0.1 and forwards each connection, until it is closed.

    A connection that breaks, on either side, closes the other side: the client connects again.

    Attributes:
        port: The local port.
        failure: Why the last connection to the pod failed; None where it did not.
    """

    def __init__(self, api: ApiServer, namespace: str, pod: str, port: int) -> None:
        """Listens; the pod is first reached with the first connection.

        Args:
            api: The cluster.
            namespace: Of the pod.
            pod: Its name.
            port: Its port.
        """
        self._api = api
        self._request = Request("create", "pods/portforward", namespace, pod)
        self._path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}"
        self._closed = False
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self.failure: FedjobError | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="port-forward", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and break every connection."""
        self._closed = True
        # A thread that waits in accept() is not woken by close() alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for each in connections:
            each.close()
        for each in connections:
            each.join()

    def check(self) -> None:
        """Raises why the last connection to the pod failed, if it did."""
        if self.failure is not None:
            raise self.failure

    def _accept(self) -> None:
        while not self._closed:
            try:
                local, _ = self._listener.accept()
            except OSError:
                return
            connection = _Connection(self, local)
            with self._lock:
                self._open.add(connection)
            connection.start()

    def connect(self) -> Any:
        """A WebSocket to the pod's port; credentials are renewed once where they are refused.

        Raises:
            FedjobError: The API server or the pod cannot be reached, or it is not allowed.
        """
        try:
            found = self._api.websocket(self._path, _PROTOCOL, self._request)
        except FedjobError as error:
            self.failure = error
            raise
        self.failure = None
        return found

    def ended(self, connection: _Connection) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.discard(connection)


class _Connection:
    """One TCP connection and its WebSocket: a thread for each direction."""

    def __init__(self, forward: PortForward, local: socket.socket) -> None:
        self._forward = forward
        self._local = local
        self._remote: Any = None
        self._thread = threading.Thread(target=self._run, name="port-forward-in", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def close(self) -> None:
        """Wakes both threads."""
        with suppress(OSError):
            self._local.shutdown(socket.SHUT_RDWR)
        remote = self._remote
        if remote is not None and remote.sock is not None:
            with suppress(OSError):
                remote.sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        outward: threading.Thread | None = None
        try:
            self._remote = self._forward.connect()
            outward = threading.Thread(target=self._send, name="port-forward-out", daemon=True)
            outward.start()
            self._receive()
        except FedjobError:
            pass  # `failure` has it
        finally:
            self.close()
            if outward is not None:
                outward.join()
            self._local.close()
            if self._remote is not None:
                with suppress(OSError):
                    self._remote.shutdown()
            self._forward.ended(self)

    def _send(self) -> None:
        """From the local client to the pod; a send blocks while the pod does not take it."""
        from websocket import WebSocketException

        prefix = bytes([_DATA])
        with suppress(OSError, WebSocketException):
            while data := self._local.recv(_CHUNK):
                self._remote.send_binary(prefix + data)
        self.close()

    def _receive(self) -> None:
        """From the pod to the local client."""
        from websocket import ABNF, WebSocketException

        seen: set[int] = set()
        with suppress(OSError, WebSocketException):
            while True:
                kind, data = self._remote.recv_data()
                if kind == ABNF.OPCODE_CLOSE:
                    return
                if not data:
                    continue
                channel, rest = data[0], data[1:]
                if channel not in seen:
                    seen.add(channel)  # the first message of a channel repeats the port's number
                elif channel == _DATA:
                    self._local.sendall(rest)
                elif channel == _ERROR:
                    self._forward.failure = ClusterUnreachableError(
                        f"the pod's port does not answer: {rest.decode('utf-8', 'replace')}"
                    )
                    return
