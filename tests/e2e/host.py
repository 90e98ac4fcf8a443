"""This machine as the cluster's nodes and pods see it: an address on kind's own Docker network."""

from __future__ import annotations

import subprocess

_GATEWAY = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"


def docker(*arguments: str, given: str | None = None) -> str:
    """Runs docker and returns what it printed."""
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def gateway() -> str:
    """The address of this machine on that network: only the nodes and their pods are there."""
    return docker("network", "inspect", "kind", "-f", _GATEWAY).split()[0]
