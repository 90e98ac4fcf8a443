"""Logs that outlive their pods: `files_out/logs/<site>/<attempt>.log` in the store."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fedjob.engines.kubernetes.transfer.results import Results
from fedjob.errors import Fault, InvalidInputError

_LOG = re.compile(r"files_out/logs/(?P<site>[a-z0-9-]+)/(?P<attempt>\d+)\.log")


class StoredLogs:
    """The logs of a job's sites, as far as they have reached the store."""

    def __init__(self, results: Results) -> None:
        """Reads nothing yet."""
        self._results = results

    def lines(self, site: str, *, previous: bool = False, every: bool = False) -> Iterator[str]:
        """The lines of a site's last start.

        Args:
            site: `server` or `worker-<i>`.
            previous: The start before the last.
            every: All starts, one after the other.

        Raises:
            InvalidInputError: The store has no such log.
        """
        found: dict[int, str] = {}
        sites: set[str] = set()
        for path in self._results.objects():
            match = _LOG.fullmatch(path)
            if match is not None:
                sites.add(match["site"])
                if match["site"] == site:
                    found[int(match["attempt"])] = path
        attempts = sorted(found)
        chosen = attempts if every else attempts[-2:-1] if previous else attempts[-1:]
        if not chosen:
            have = f"has the logs of {', '.join(sorted(sites))}" if sites else "has no logs yet"
            fix = "name one of those" if sites else "wait until it has run for a minute"
            if found:
                have, fix = "was started once", "leave --previous out"
            raise InvalidInputError([Fault(site, f"its pod is gone, and the store {have}", fix)])
        for attempt in chosen:
            data = self._results.read(found[attempt]) or b""
            yield from data.decode("utf-8", "replace").splitlines()
