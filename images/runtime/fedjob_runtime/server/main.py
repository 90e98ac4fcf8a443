"""`fedjob-server --config FILE`: supervises one job's federation until its last round is committed.

Exit codes: 0 complete; 1 failed for good, the reason is in status.json; 143 stopped by SIGTERM
after a drain; any other: an error that may pass, start it again.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from fedjob.errors import FedjobError
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import StoreUnreachableError
from fedjob_runtime.server.clock import Stopped
from fedjob_runtime.server.supervisor.end_of_run import save_status
from fedjob_runtime.server.supervisor.metrics import registry_of
from fedjob_runtime.server.supervisor.status_server import StatusServer
from fedjob_runtime.server.supervisor.status_store import StatusStore
from fedjob_runtime.server.supervisor.supervisor import Supervisor
from fedjob_runtime.server.supervisor.transport_limits import raise_file_limit

EXIT_BROKEN = 75
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
