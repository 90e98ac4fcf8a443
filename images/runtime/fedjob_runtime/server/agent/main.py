"""`fedjob-server-agent --config FILE`: runs NVFlare's server for the supervisor; never ends itself.

In a pod it is the container of the job's image, and the supervisor is another one; on one machine
both are processes. It holds no credentials of the store.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from fedjob.errors import FedjobError
from fedjob.protocol.config import ServerConfig
from fedjob_runtime.processes.fork_client import environment_with_fork_server
from fedjob_runtime.processes.oom_watch import MemoryWatch
from fedjob_runtime.server.agent.nvflare_server import Parent
from fedjob_runtime.server.agent.segment_job import write_segment
from fedjob_runtime.server.agent.torch_file import export
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.server.orders import PROTOCOL, SOCKET, Lines, SegmentRefusedError
from fedjob_runtime.server.transport_limits import raise_file_limit
from fedjob_runtime.site_log.capture import LogCapture
from fedjob_runtime.site_log.kept import ENV_KEEP_LOG

ANSWER_SECONDS = 10.0
"""Seconds that the supervisor may take to read an answer."""


class NvflareServer(Protocol):
    """NVFlare's parent process, as the agent uses it."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""

    @property
    def peers(self) -> int:
        """Established connections to its port."""

    def prepare(self) -> None:
        """Writes its workspaces."""

    def start(self) -> None:
        """Starts the process."""

    def kill(self) -> None:
        """Ends the process and its job processes."""

    def submit(self, folder: Path) -> str:
        """Submits a job folder; the job's id."""

    def abort(self, job: str) -> None:
        """Aborts a job."""

    def shut_clients_down(self) -> bool:
        """Tells every client that the run is over; False while a job still ends."""


class Agent:
    """Carries out orders, of one supervisor at a time.

    Args:
        config: What to run.
        handover: The folders shared with the supervisor.
        parent: NVFlare's parent process.
        memory: Whether a process of this container was OOM-killed.
    """

    def __init__(
        self,
        config: ServerConfig,
        handover: Handover,
        parent: NvflareServer,
        memory: MemoryWatch | None = None,
    ) -> None:
        self._config = config
        self._handover = handover
        self._parent = parent
        self._memory = memory or MemoryWatch()

    def serve(self, listener: socket.socket) -> None:
        """Serves one connection after the other, for ever."""
        while True:
            connection, _ = listener.accept()
            with connection:
                self.serve_one(connection)

    def serve_one(self, connection: socket.socket) -> None:
        """Carries out the orders of one connection; NVFlare ends with it."""
        lines = Lines(connection)
        try:
            while (order := lines.receive()) is not None:
                lines.send(self._answer(order), ANSWER_SECONDS)
        except (OSError, ValueError) as error:
            _say(f"the connection of the supervisor ends: {error}")
        finally:
            self._parent.kill()

    def _answer(self, order: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._carry_out(order)
        except SegmentRefusedError as error:
            return {"refused": str(error)}
        except (FedjobError, OSError, ValueError, KeyError, TypeError) as error:
            text = (
                str(error) if isinstance(error, FedjobError) else f"{order.get('order')}: {error!r}"
            )
            return {"error": text}

    def _carry_out(self, order: Mapping[str, Any]) -> dict[str, Any]:
        match order.get("order"):
            case "start":
                self._start(order)
                return {}
            case "state":
                return {"alive": self._parent.alive, "out_of_memory": self._memory.exceeded()}
            case "peers":
                return {"count": self._parent.peers}
            case "submit":
                return {"job": self._submit(order)}
            case "abort":
                self._parent.abort(str(order["job"]))
                return {}
            case "release":
                return {"over": self._parent.shut_clients_down()}
            case "export":
                number = int(order["round"])
                export(self._handover.start_model(number), self._handover.torch_file(number))
                return {}
            case unknown:
                raise ValueError(f"{unknown!r} is not an order")

    def _start(self, order: Mapping[str, Any]) -> None:
        if order.get("protocol") != PROTOCOL:
            raise SegmentRefusedError(
                f"the job's image has a fedjob that takes orders of version {PROTOCOL}, and the "
                f"operator's gives version {order.get('protocol')}; build spec.image.base from the "
                "runtime image of the operator's release"
            )
        self._parent.kill()
        if order.get("fresh"):
            self._handover.clear_reports()
        self._parent.prepare()
        self._parent.start()

    def _submit(self, order: Mapping[str, Any]) -> str:
        start = int(order["start_round"])
        self._handover.drop_uncommitted(start)
        folder = write_segment(
            Path(self._config.job_folder),
            Path(self._config.home) / "segments",
            segment=int(order["segment"]),
            start_round=start,
            clients=[str(name) for name in order["clients"]],
        )
        try:
            return self._parent.submit(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def listen(reports: Path) -> socket.socket:
    """Listens on the agent's socket, which an earlier agent may have left."""
    (reports / SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # By way of the folder's descriptor: the name of a socket has at most 108 bytes.
    folder = os.open(reports, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
    finally:
        os.close(folder)
    # The supervisor is of the group, which the volume gives to what is made in it.
    (reports / SOCKET).chmod(0o660)
    listener.listen()
    return listener


def main(argv: Sequence[str] | None = None) -> int:
    """The command; ends by a signal only."""
    parser = argparse.ArgumentParser(
        prog="fedjob-server-agent",
        description="Runs NVFlare's server and the author's code for fedjob-server.",
        epilog="Example: fedjob-server-agent --config server.json",
    )
    parser.add_argument("--config", type=Path, required=True, help="a ServerConfig as JSON")
    parser.add_argument(
        "--handover", type=Path, help="the folder shared with fedjob-server; default: its home"
    )
    arguments = parser.parse_args(argv)
    config = ServerConfig.model_validate_json(arguments.config.read_text())
    Path(config.home).mkdir(parents=True, exist_ok=True)
    folder = arguments.handover or Path(config.home)
    handover = Handover(folder)
    handover.reports.mkdir(parents=True, exist_ok=True)
    raise_file_limit()
    with ExitStack() as stack:
        if os.environ.get(ENV_KEEP_LOG):
            # The supervisor copies it to the log that it keeps.
            stack.enter_context(LogCapture(handover.reports / "log" / "site.log"))
        # Without the keys, where somebody has set them for this process.
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        parent = Parent(config, folder, environment_with_fork_server(env))
        Agent(config, handover, parent).serve(stack.enter_context(listen(handover.reports)))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"fedjob-server-agent: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
