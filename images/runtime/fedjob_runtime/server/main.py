"""`fedjob-server --config FILE`: supervises one job's federation until its last round is committed.

Exit codes: 0 complete; 1 failed for good, the reason is in status.json; 143 stopped by SIGTERM
after a drain; any other: an error that may pass, start it again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from fedjob.errors import FedjobError
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import StoreError, StoreUnreachableError
from fedjob.storage.layout import Layout
from fedjob_runtime.server.clock import Stopped
from fedjob_runtime.server.supervisor.end_of_run import save_status
from fedjob_runtime.server.supervisor.metrics import registry_of
from fedjob_runtime.server.supervisor.status_server import StatusServer
from fedjob_runtime.server.supervisor.status_store import StatusStore
from fedjob_runtime.server.supervisor.supervisor import Supervisor
from fedjob_runtime.server.supervisor.transport_limits import raise_file_limit
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
    config = ServerConfig.model_validate_json(parser.parse_args(argv).config.read_text())
    Path(config.home).mkdir(parents=True, exist_ok=True)
    raise_file_limit()
    status = StatusStore(ServerStatus(total=config.spec.federation.num_rounds))
    send = partial(_keep_log, config, status) if os.environ.get(ENV_KEEP_LOG) else None
    with kept_log(Path(config.home), send, _say):
        return _run(config, status)


def _say(line: str) -> None:
    sys.stdout.write(f"fedjob-server: {line}\n")
    sys.stdout.flush()


def _keep_log(config: ServerConfig, status: StatusStore, data: bytes) -> bool:
    """Stores the log of this start; False before it has a number.

    Raises:
        OSError: The store refuses it or does not answer.
    """
    attempt = status.status.attempt
    if not attempt:
        return False
    layout = Layout(config.namespace, config.name, config.store.prefix)
    try:
        with Bucket(config.store, attempts=1, read_timeout=LOG_SECONDS) as bucket:
            bucket.put_bytes(layout.site_log("server", attempt), data)
    except StoreError as error:
        raise OSError(str(error)) from error
    return True


def _run(config: ServerConfig, status: StatusStore) -> int:
    supervisor = Supervisor(config, status, Bucket(config.store))

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
    except StoreUnreachableError as error:
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
