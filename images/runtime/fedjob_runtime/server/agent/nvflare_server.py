"""NVFlare's server parent as the agent's child, used through an admin session."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.fuel.flare_api.api_spec import (
    AuthorizationError,
    InvalidArgumentError,
    InvalidJobDefinition,
    JobNotDone,
    NoConnection,
)
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session

from fedjob.protocol.config import ServerConfig
from fedjob_runtime.nvflare_site.provisioning import ADMIN_NAME
from fedjob_runtime.nvflare_site.site_folder import allowed_classes, edit_startup, prepare_site
from fedjob_runtime.nvflare_site.user_classes import user_classes
from fedjob_runtime.processes.children import kill_tree, start_child
from fedjob_runtime.protocol import ENV_DEVICE, ENV_HANDOVER, ENV_JOB_FOLDER, ENV_JOB_ID
from fedjob_runtime.server.agent.peers import connected
from fedjob_runtime.server.ipc import CLIENTS, Handover
from fedjob_runtime.server.orders import ParentError, SegmentRefusedError
from fedjob_runtime.server.transport_limits import communication

SESSION_TIMEOUT = 20.0


_FINAL = (InvalidJobDefinition, InvalidArgumentError, AuthorizationError)
"""Refusals by what the job folder or the site's policy says: no restart changes either."""


class Parent:
    """The NVFlare server process, which launches the job processes, and an admin session to it.

    Args:
        config: The server's configuration.
        folder: The folder shared with the supervisor, passed down to the job processes.
        env: The environment of its processes; it holds no keys.
    """

    def __init__(self, config: ServerConfig, folder: Path, env: Mapping[str, str]) -> None:
        self._config = config
        self._folder = folder
        self._reports = Handover(folder).reports
        self._env = env
        home = Path(config.home)
        self._site, self._admin = home / "nvflare", home / "admin"
        self._transfer = home / "transfer"
        self._process: subprocess.Popen[bytes] | None = None
        self._session: Session | None = None

    def prepare(self) -> None:
        """Writes the two NVFlare workspaces, of the server and of the admin session."""
        self._transfer.mkdir(parents=True, exist_ok=True)
        kit = Path(self._config.kit)
        limits = communication(len(self._config.workers))
        prepare_site(kit, self._site, self._resources(), limits)
        loopback = self._config.http_host == "127.0.0.1"
        port = self._port()
        host = "127.0.0.1" if loopback else "0"
        edit_startup(
            self._site,
            "fed_server.json",
            {"service": {"target": f"{host}:{port}", "scheme": "grpc"}},
            "servers",
            0,
        )
        prepare_site(
            Path(self._config.admin_kit),
            self._admin,
            {
                "format_version": 1,
                "admin": {
                    # The default of 900 s would drop the session in the middle of a long round.
                    "idle_timeout": 864000.0,
                    "login_timeout": 10.0,
                    "with_debug": False,
                    "authenticate_msg_timeout": 2.0,
                    "prompt": "> ",
                },
            },
        )
        edit_startup(
            self._admin,
            "fed_admin.json",
            {
                "host": "localhost",
                "upload_dir": self._config.home,
                "download_dir": str(self._transfer),
            },
            "admin",
        )

    def start(self) -> None:
        """Starts the process; what the last one published is removed."""
        (self._reports / CLIENTS).unlink(missing_ok=True)
        self._session = None
        self._process = start_child(
            [
                sys.executable,
                "-m",
                "fedjob_runtime.processes.nvflare_main",
                "nvflare.private.fed.app.server.server_train",
                "-m",
                str(self._site),
                "-s",
                "fed_server.json",
                "--set",
                "secure_train=true",
                "org=fedjob",
                "config_folder=config",
            ],
            self._environment(),
        )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def peers(self) -> int:
        """Established connections to its port."""
        return connected(self._port())

    def submit(self, folder: Path) -> str:
        """Submits an NVFlare job folder and returns the job's id.

        Raises:
            SegmentRefusedError: The folder or the site's policy makes NVFlare refuse it every time.
            ParentError: It was not accepted; the process should be restarted.
        """
        try:
            # NVFlare 2.9.0 parses the path as part of a command, where quotes vanish. Relative to
            # upload_dir it is plain, whatever the folder of the run is called. (NVFlare looks in
            # the current folder first: a local run starts this process in its home.)
            return str(self._open().submit_job(os.path.relpath(folder, self._config.home)))
        except _FINAL as error:
            raise SegmentRefusedError(
                f"NVFlare refuses this job: {error}; run `fedjob build` to look at the job folder, "
                "and correct spec.components and spec.federation.jobName"
            ) from error
        except Exception as error:
            # flare_api raises over a dozen unrelated types, all of which mean the same here.
            raise ParentError(f"NVFlare did not take the segment: {error!r}") from error

    def abort(self, job: str) -> None:
        """Aborts a job; one that is over already is not an error."""
        with contextlib.suppress(Exception):
            self._open().abort_job(job)

    def shut_clients_down(self) -> bool:
        """Tells every client that the run is over; False while a job still ends."""
        try:
            self._open().shutdown("client", wait=False)
        except JobNotDone:
            return False
        except Exception as error:
            raise ParentError(f"NVFlare did not shut its clients down: {error!r}") from error
        return True

    def kill(self) -> None:
        """Ends the process and its job processes."""
        if self._session is not None:
            with contextlib.suppress(Exception):
                self._session.close()
            self._session = None
        if self._process is not None:
            kill_tree(self._process)
            self._process = None

    def _open(self) -> Session:
        if self._session is None:
            try:
                self._session = new_secure_session(
                    ADMIN_NAME, str(self._admin), timeout=SESSION_TIMEOUT
                )
            except NoConnection as error:
                raise ParentError(f"no admin session with NVFlare: {error}") from error
        return self._session

    def _port(self) -> int:
        import json

        document = json.loads((Path(self._config.kit) / "fed_server.json").read_text())
        return int(document["servers"][0]["service"]["target"].rsplit(":", 1)[1])

    def _environment(self) -> dict[str, str]:
        custom = f"{self._config.job_folder}/app/custom"
        return {
            **self._env,
            "PYTHONPATH": os.pathsep.join(filter(None, [custom, self._env.get("PYTHONPATH", "")])),
            ENV_HANDOVER: str(self._folder),
            ENV_JOB_FOLDER: self._config.job_folder,
            ENV_JOB_ID: self._config.name,
            ENV_DEVICE: self._config.device,
        }

    def _resources(self) -> dict[str, Any]:
        home = Path(self._config.home)
        own = "nvflare.app_common."
        federation = self._config.spec.federation
        return {
            "format_version": 2,
            "class_allow_list": allowed_classes(user_classes(Path(self._config.job_folder))),
            "servers": [
                {
                    "admin_storage": str(self._transfer),
                    "max_num_clients": max(100, 2 * len(self._config.workers)),
                    "heart_beat_timeout": federation.heart_beat_timeout,
                    "download_job_url": "http://localhost/",
                    "admin_timeout": 10.0,
                }
            ],
            "snapshot_persistor": {
                "path": own + "state_persistors.storage_state_persistor.StorageStatePersistor",
                "args": {
                    "uri_root": "/",
                    "storage": {
                        "path": own + "storages.filesystem_storage.FilesystemStorage",
                        "args": {"root_dir": str(home / "snapshots"), "uri_root": "/"},
                    },
                },
            },
            "components": [
                {
                    "id": "job_scheduler",
                    "path": own + "job_schedulers.job_scheduler.DefaultJobScheduler",
                    # The defaults look for jobs every 10 s, which would delay every segment.
                    "args": {
                        "max_jobs": 20,
                        "min_schedule_interval": 1.0,
                        "max_schedule_interval": 2.0,
                        "max_schedule_count": 1000000,
                    },
                },
                {
                    "id": "job_manager",
                    "path": "nvflare.apis.impl.job_def_manager.SimpleJobDefManager",
                    "args": {"uri_root": str(home / "jobs"), "job_store_id": "job_store"},
                },
                {
                    "id": "job_store",
                    "path": own + "storages.filesystem_storage.FilesystemStorage",
                },
                {
                    "id": "process_launcher",
                    "path": "fedjob_runtime.processes.launchers.ServerLauncher",
                    "args": {},
                },
                {
                    "id": "registry",
                    "path": "fedjob_runtime.server.nvflare_parent.client_registry.ClientRegistry",
                    "args": {"folder": str(self._reports)},
                },
            ],
        }
