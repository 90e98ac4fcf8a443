"""What the operator and the processes in a job's pods agree on: mounts, ports, environment.

Exit codes are in `fedjob.protocol.exit_codes`, because the local engine needs them too.
"""

from __future__ import annotations

HOME = "/work"
"""The only writable folder: home directory and TMPDIR."""
JOB_FOLDER = "/opt/fedjob/job"
"""The generated job folder, a layer of the image."""
CONFIG = "/etc/fedjob/config"
"""Mount of the process's configuration file."""
KIT = "/etc/fedjob/kit"
"""Mount of the pod's own startup kit."""
ADMIN_KIT = "/etc/fedjob/admin"
"""Mount of the admin's startup kit, in the container of the server's pod that runs NVFlare."""

SUPERVISOR = "supervisor"
"""The container with `fedjob-server` in the operator's runtime image: it has the store's keys."""
FEDERATION = "federation"
"""The container with `fedjob-server-agent` in the job's image: it runs the author's code."""
USER = 10001
"""Uid and gid of every process of the job's image."""
SUPERVISOR_USER = 10002
"""Uid and gid of the supervisor."""
SHARED_GROUP = 10003
"""Group of the volumes of a server's pod, of which both containers are."""
HANDOVER = "/run/fedjob"
"""Folder with the two volumes that supervisor and federation share, one a direction."""
ORDERS = "orders"
"""In it: written by the supervisor, mounted read-only by the federation."""
REPORTS = "reports"
"""In it: written by the federation, mounted read-only by the supervisor."""
URL = "/etc/fedjob/url"
"""Mount of a worker's presigned URL."""
URL_FILE = "url"
"""File name of the URL within that mount."""


def log_form_file(ordinal: int) -> str:
    """File name of the presigned form for the log of a worker's pod, within URL."""
    return f"log-{ordinal}.json"


def files_form_file(number: int) -> str:
    """File name of the presigned form for what a worker keeps of a round, within URL."""
    return f"files-{number}.json"


ENV_LOG_FORM = "FEDJOB_LOG_FORM"
"""Environment variable of a worker: path of the form for its log."""
ENV_KEEP_LOG = "FEDJOB_KEEP_LOG"
"""Environment variable of a server: set, it keeps its log in the store."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a mount of the pod)

FL_PORT = 8002
"""The server's port for the federation and the admin session (mTLS)."""
HTTP_PORT = 8080
"""The server's port for /status, /metrics and /healthz."""

STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Environment variables of the server with the store's keys; the last one is optional."""
SERVER_FILE = "server.json"
"""The server's configuration, within CONFIG and within the ConfigMap."""


def worker_file(worker: str) -> str:
    """A worker's configuration, within CONFIG and within the ConfigMap."""
    return f"{worker}.json"
