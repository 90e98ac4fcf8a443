"""Processes that a forge forks: what it is asked for, and the handle on one of them."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from fedjob.protocol.config import ENV_FORGE
from fedjob_runtime.processes.children import start_child

PATIENCE = 60.0
"""Seconds until it has answered: it may still be importing torch."""

_ours: list[subprocess.Popen[bytes]] = []
"""Held, since an object that goes while its process runs warns of it."""


def environment_with_forge(env: Mapping[str, str]) -> dict[str, str]:
    """The environment for a site's processes: a forge given by ENV_FORGE, else one of our own.

    Ours dies with this process. Call it from the main thread (see `start_child`).
    """
    if env.get(ENV_FORGE):
        return dict(env)
    name = f"fedjob-{secrets.token_hex(16)}"
    # The store's keys are the supervisor's alone: what is forked runs the user's code.
    kept = {key: value for key, value in env.items() if not key.startswith("AWS_")}
    _ours.append(
        start_child([sys.executable, "-m", "fedjob_runtime.processes.fork_server", name], kept)
    )
    return {**env, ENV_FORGE: name}


class NotForgedError(Exception):
    """The forge is not there, or will not fork this; a new Python does as well."""


class Forged:
    """A running process; what NVFlare asks of a process it has started.

    Attributes:
        pid: Its id.
    """

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid = pid
        self._connection = connection
        self._code: int | None = None
        self._over = threading.Event()
        threading.Thread(target=self._watch, name=f"forged-{pid}", daemon=True).start()

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._code

    def wait(self) -> None:
        """Returns at its end."""
        self._over.wait()

    def terminate(self) -> None:
        """Kills it, and what is in its process group."""
        # It may be over already, and the socket with it.
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _watch(self) -> None:
        try:
            answer = self._connection.recv(4096)
        except OSError:
            answer = b""
        # A forge that has gone has taken its processes along.
        self._code = int(json.loads(answer)["code"]) if answer else -9
        self._over.set()
        self._connection.close()


def forge_process(argv: Sequence[str], env: Mapping[str, str]) -> Forged:
    """Has a process forked by the forge that `env` names; its output goes where ours goes.

    Raises:
        NotForgedError: It was not.
    """
    name = env.get(ENV_FORGE)
    if not name:
        raise NotForgedError("there is no forge")
    request = {
        "argv": list(argv),
        "env": {key: value for key, value in env.items() if key != ENV_FORGE},
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
            raise NotForgedError(str(answer.get("refused")))
        connection.settimeout(None)
        return Forged(connection, int(answer["pid"]))
    except OSError as error:
        connection.close()
        raise NotForgedError(str(error)) from error
    except NotForgedError:
        connection.close()
        raise
