"""Docker on this machine, and the address under which the cluster's nodes and pods reach it."""

from __future__ import annotations

import subprocess

_GATEWAY = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"


def docker(*arguments: str, given: str | None = None) -> str:
    """Runs docker and returns its output."""
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def gateway() -> str:
    """This machine's address on kind's Docker network, which only nodes and pods can reach."""
    return docker("network", "inspect", "kind", "-f", _GATEWAY).split()[0]
