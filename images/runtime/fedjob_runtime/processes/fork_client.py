"""The client of the fork server: asks it for processes and keeps a handle on each."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from fedjob.protocol.config import ENV_FORK_SERVER
from fedjob_runtime.processes.children import start_child

PATIENCE = 60.0
"""Seconds to wait for the fork server's answer: it may still be importing torch."""

_own_servers: list[subprocess.Popen[bytes]] = []
"""Kept referenced: a Popen that is collected while its process runs raises a warning."""


def environment_with_fork_server(env: Mapping[str, str]) -> dict[str, str]:
    """The environment for a site's processes, with the name of a fork server.

    It is the one that ENV_FORK_SERVER names already; else one is started, which dies with this
    process. Call it from the main thread (see `start_child`).
    """
    if env.get(ENV_FORK_SERVER):
        return dict(env)
    name = f"fedjob-{secrets.token_hex(16)}"
    # Only the supervisor gets the store's keys: forked processes run the author's code.
    kept = {key: value for key, value in env.items() if not key.startswith("AWS_")}
    _own_servers.append(
        start_child([sys.executable, "-m", "fedjob_runtime.processes.fork_server", name], kept)
    )
    return {**env, ENV_FORK_SERVER: name}


class NotForkedError(Exception):
    """There is no fork server, or it refuses this process; start a new Python instead."""


class ForkedProcess:
    """A forked process, with the methods that NVFlare expects of a process it started.

    Attributes:
        pid: The process id.
    """

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid = pid
        self._connection = connection
        self._code: int | None = None
        self._over = threading.Event()
        threading.Thread(target=self._watch, name=f"forked-{pid}", daemon=True).start()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._code

    def wait(self) -> None:
        """Returns when the process has ended."""
        self._over.wait()

    def terminate(self) -> None:
        """Kills the process and its process group."""
        # The process may have ended already, which closes the socket.
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _watch(self) -> None:
        try:
            answer = self._connection.recv(4096)
        except OSError:
            answer = b""
        # Without an answer the fork server is gone, and its processes with it.
        self._code = int(json.loads(answer)["code"]) if answer else -9
        self._over.set()
        self._connection.close()


def fork_process(argv: Sequence[str], env: Mapping[str, str]) -> ForkedProcess:
    """Has a process forked by the fork server that `env` names; it writes to our output.

    Raises:
        NotForkedError: There is no fork server, or it refuses.
    """
    name = env.get(ENV_FORK_SERVER)
    if not name:
        raise NotForkedError("there is no fork server")
    request = {
        "argv": list(argv),
        "env": {key: value for key, value in env.items() if key != ENV_FORK_SERVER},
        "cwd": os.getcwd(),
    }
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(f"\0{name}")
        socket.send_fds(connection, [json.dumps(request).encode()], [1, 2])
        body = connection.recv(4096)
        answer = json.loads(body) if body else {"refused": "it ended"}
        if "pid" not in answer:
            raise NotForkedError(str(answer.get("refused")))
        connection.settimeout(None)
        return ForkedProcess(connection, int(answer["pid"]))
    except OSError as error:
        connection.close()
        raise NotForkedError(str(error)) from error
    except NotForkedError:
        connection.close()
        raise
