"""`fedjob-server --config FILE`: supervises one job's federation until its last round is committed.

It holds the keys of the store and runs nothing of the author: NVFlare and the job processes belong
to `fedjob-server-agent`.

Exit codes: 0 complete; 1 failed for good, the reason is in status.json; 143 stopped by SIGTERM
after a drain; any other: an error that may pass, start it again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from fedjob.errors import Fault, FedjobError, InvalidInputError
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import StoreError, StoreUnreachableError
from fedjob.storage.layout import Layout
from fedjob_runtime.server.clock import Stopped
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.server.orders import ParentError
from fedjob_runtime.server.supervisor.end_of_run import save_status
from fedjob_runtime.server.supervisor.log_relay import LogRelay
from fedjob_runtime.server.supervisor.metrics import registry_of
from fedjob_runtime.server.supervisor.status_server import StatusServer
from fedjob_runtime.server.supervisor.status_store import StatusStore
from fedjob_runtime.server.supervisor.supervisor import Supervisor
from fedjob_runtime.server.transport_limits import raise_file_limit
from fedjob_runtime.site_log.kept import ENV_KEEP_LOG, kept_log

EXIT_BROKEN = 75
LOG_SECONDS = 5.0
"""Seconds that the store may take for the log: a stopping pod does not wait longer."""
LINGER_SECONDS = 2.0
"""Seconds that the last status is still served, so that a long-poll sees it."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="fedjob-server",
        description="Runs the server of a federated job.",
        epilog="Example: fedjob-server --config server.json",
    )
    parser.add_argument("--config", type=Path, required=True, help="a ServerConfig as JSON")
    parser.add_argument(
        "--handover",
        type=Path,
        help="the folder shared with fedjob-server-agent; default: its home",
    )
    parser.add_argument(
        "--credentials-fd",
        type=int,
        help="a file descriptor with the store's keys as a JSON object of AWS_* names; default: "
        "the environment or the pod's identity",
    )
    arguments = parser.parse_args(argv)
    config = ServerConfig.model_validate_json(arguments.config.read_text())
    folder = arguments.handover or Path(config.home)
    keys = None if arguments.credentials_fd is None else read_keys(arguments.credentials_fd)
    # The agent, of another user, reads what is written for it.
    os.umask(0o022)
    Path(config.home).mkdir(parents=True, exist_ok=True)
    raise_file_limit()
    status = StatusStore(ServerStatus(total=config.spec.federation.num_rounds))
    if not os.environ.get(ENV_KEEP_LOG):
        return _run(config, status, folder, keys)
    reports = Handover(folder).reports
    with (
        kept_log(Path(config.home), partial(_keep_log, config, status, keys), _say),
        LogRelay(reports, partial(os.write, 1)),
    ):
        return _run(config, status, folder, keys)


def read_keys(descriptor: int) -> Credentials:
    """The store's keys from a pipe, which is closed: no other process can read them again.

    Raises:
        InvalidInputError: They are not there.
    """
    with open(descriptor, "rb", closefd=False) as file:
        data = file.read(65536)
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), descriptor)
    try:
        given = json.loads(data)
        return Credentials(
            given["AWS_ACCESS_KEY_ID"],
            given["AWS_SECRET_ACCESS_KEY"],
            given.get("AWS_SESSION_TOKEN"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        fault = Fault(
            f"--credentials-fd {descriptor}",
            "has no JSON object with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            "write it there before the server starts, and close the writing end",
        )
        raise InvalidInputError([fault]) from None


def _say(line: str) -> None:
    sys.stdout.write(f"fedjob-server: {line}\n")
    sys.stdout.flush()


def _keep_log(
    config: ServerConfig, status: StatusStore, keys: Credentials | None, data: bytes
) -> bool:
    """Stores the log of this start; False before it has a number.

    Raises:
        OSError: The store refuses it or does not answer.
    """
    attempt = status.status.attempt
    if not attempt:
        return False
    layout = Layout(config.namespace, config.name, config.store.prefix)
    try:
        with Bucket(config.store, keys, attempts=1, read_timeout=LOG_SECONDS) as bucket:
            bucket.put_bytes(layout.site_log("server", attempt), data)
    except StoreError as error:
        raise OSError(str(error)) from error
    return True


def _run(config: ServerConfig, status: StatusStore, folder: Path, keys: Credentials | None) -> int:
    supervisor = Supervisor(config, status, Bucket(config.store, keys), folder=folder)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    http = StatusServer(
        status, registry_of(status), supervisor.healthy, config.http_host, config.http_port
    )
    http.start()
    try:
        complete = supervisor.run()
        if complete:
            supervisor.release_workers()
        supervisor.linger(LINGER_SECONDS)
        return 0 if complete else 1
    except Stopped:
        return 128 + signal.SIGTERM
    except (StoreUnreachableError, ParentError) as error:
        sys.stderr.write(f"fedjob-server: {error}\n")
        return EXIT_BROKEN
    except FedjobError as error:
        status.update(phase=RunPhase.FAILED, reason=error.reason, message=str(error))
        save_status(config, status.status)
        supervisor.linger(LINGER_SECONDS)
        return 1
    finally:
        supervisor.kill()
        http.stop()


if __name__ == "__main__":
    sys.exit(main())
