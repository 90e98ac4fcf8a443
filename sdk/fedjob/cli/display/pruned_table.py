"""What `fedjob prune` removes or keeps, as a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from fedjob.formats import size


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedLine:
    """The objects of one job, and what becomes of them.

    Attributes:
        namespace: Of the job.
        name: Of the job.
        objects: Shards, code, rounds and attempts.
        bytes: Of these objects.
        result_bytes: Bytes of models, reports, logs and kept files.
        uploads: Unfinished multipart uploads.
        verdict: What becomes of them, for a person.
        removes: Whether anything is removed.
        removes_results: Whether the results are removed, too.
    """

    namespace: str
    name: str
    objects: int
    bytes: int
    result_bytes: int
    uploads: int
    verdict: str
    removes: bool
    removes_results: bool

    def as_json(self) -> dict[str, object]:
        """The line for a script."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "objects": self.objects,
            "bytes": self.bytes,
            "resultBytes": self.result_bytes,
            "uploads": self.uploads,
            "verdict": self.verdict,
            "removes": self.removes,
            "removesResults": self.removes_results,
        }


def pruned_table(lines: Sequence[PrunedLine], *, done: bool) -> Table:
    """One line for each job.

    Args:
        lines: The jobs, in order.
        done: Whether it was removed already.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for name in ("NAMESPACE", "NAME", "OBJECTS", "SIZE", "RESULTS", "UPLOADS", "ACTION"):
        table.add_column(name, no_wrap=True)
    for line in lines:
        action = "removed" if line.verdict == "remove" and done else line.verdict
        cells = [
            line.namespace,
            line.name,
            str(line.objects),
            size(line.bytes),
            size(line.result_bytes),
            str(line.uploads),
            action,
        ]
        table.add_row(*map(Text, cells))
    return table
