"""Where things are within a job's pods."""

HOME = "/work"
"""The one writable folder: home directory and TMPDIR."""
JOB_FOLDER = "/opt/fedjob/job"
"""The generated job folder, a layer of the image."""
CONFIG = "/etc/fedjob/config"
KIT = "/etc/fedjob/kit"
ADMIN_KIT = "/etc/fedjob/admin"
URL = "/etc/fedjob/url"


def server_file() -> str:
    """The server's configuration, within CONFIG and within the ConfigMap."""
    return "server.json"


def worker_file(worker: str) -> str:
    """A worker's configuration, within CONFIG and within the ConfigMap."""
    return f"{worker}.json"
