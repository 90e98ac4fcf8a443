"""The command that makes NVFlare startup kits: one for the local engine and the operator.

NVFlare's provisioner runs as a process of the runtime package, so that neither the SDK nor the
operator imports nvflare. How the process is run differs: the local engine ties it to the run, the
operator awaits it with a timeout.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedjob.errors import FedjobError

KITS_COMMAND = (sys.executable, "-m", "fedjob_runtime.nvflare_site.provisioning")
"""Starts the provisioner in this Python environment."""


class KitsError(FedjobError):
    """The startup kits could not be made."""


@dataclass(frozen=True, slots=True)
class KitsRequest:
    """One set of startup kits: server, admin session and every worker, of one new authority.

    Attributes:
        project: The job's name.
        server_name: Host name of the server, to which the workers connect.
        hosts: Further names and addresses for the server's certificate.
        fl_port: TCP port of the federation.
        workers: Names of the workers.
        valid_days: Validity of the certificates in days; None: the provisioner's default.
    """

    project: str
    server_name: str
    hosts: Sequence[str]
    fl_port: int
    workers: Sequence[str]
    valid_days: int | None = None

    def argv(self, out: Path, command: Sequence[str] = KITS_COMMAND) -> list[str]:
        """The command line.

        Args:
            out: Gets a folder per site.
            command: Starts the provisioner.
        """
        argv = [*command, "--out", str(out), "--project", self.project]
        argv += ["--fl-port", str(self.fl_port), "--server-name", self.server_name]
        for host in self.hosts:
            argv += ["--host", host]
        if self.valid_days is not None:
            argv += ["--valid-days", str(self.valid_days)]
        for worker in self.workers:
            argv += ["--worker", worker]
        return argv


def kits_failure(exit_code: int | None, output: str, log: Path | None = None) -> KitsError:
    """The error for a provisioner that failed.

    Args:
        exit_code: Its exit code.
        output: The end of its output.
        log: The file with all of its output, if there is one.
    """
    fix = f"see {log}, which ends with" if log is not None else "report it with its output"
    return KitsError(f"startup kits: the command ended with code {exit_code}; {fix}:\n{output}")
