"""The report of the run in a folder, from the files of the run; needs no store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

from pydantic import ValidationError

from fedjob.atomic_files import write_text
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import read_result
from fedjob.errors import Fault, InvalidInputError
from fedjob.formats import rfc3339
from fedjob.preparation.prepared import PreparedRun
from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason
from fedjob.report import JobFacts, build


def facts_of(prepared: PreparedRun) -> JobFacts:
    """The job as the report shows it while it runs."""
    job, spec = prepared.job.metadata, prepared.job.spec
    settings: Mapping[str, object] = {
        "Classes": prepared.num_classes,
        "Local epochs": spec.training.local_epochs,
        "Batch size": spec.training.batch_size,
        "Learning rate": spec.training.learning_rate,
        "Image size": spec.training.img_size,
        "Minimum of clients": spec.federation.min_clients,
        "Validation shard": prepared.validation.name if prepared.validation else "none",
    }
    return JobFacts(
        name=job.name,
        namespace=job.namespace,
        state="Running",
        total_rounds=spec.federation.num_rounds,
        class_name=spec.model.class_name or "",
        shards={name: shard.name for name, shard in prepared.workers.items()},
        settings=settings,
    )


def note_facts(folder: RunFolder, facts: JobFacts) -> None:
    """Keep the facts for `write_report`."""
    write_text(folder.facts, json.dumps(asdict(facts)))


def note_commits(folder: RunFolder, commits: Iterable[Commit]) -> None:
    """Keep commits for `write_report`; those that are there already are left as they are."""
    folder.commits.mkdir(parents=True, exist_ok=True)
    for commit in commits:
        path = folder.commits / f"{commit.round}.json"
        if not path.exists():
            write_text(path, commit.model_dump_json(by_alias=True))


def read_facts(folder: RunFolder) -> JobFacts | None:
    """The facts that `note_facts` kept; None where there are none that can be read."""
    try:
        return JobFacts(**json.loads(folder.facts.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_commits(folder: RunFolder) -> list[Commit]:
    """The commits that `note_commits` kept, by their rounds.

    Raises:
        InvalidInputError: One of them cannot be read.
    """
    try:
        commits = [
            Commit.model_validate_json(path.read_bytes()) for path in folder.commits.glob("*.json")
        ]
    except (OSError, ValidationError) as error:
        raise _no_run(folder) from error
    return sorted(commits, key=lambda commit: commit.round)


def read_commit(folder: RunFolder, number: int) -> Commit | None:
    """The commit of one round; None where it is not kept."""
    try:
        return Commit.model_validate_json((folder.commits / f"{number}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def last_noted_round(folder: RunFolder) -> int:
    """The last round that `note_commits` kept; 0 where there is none."""
    names = (path.stem for path in folder.commits.glob("*.json"))
    return max((int(name) for name in names if name.isdigit()), default=0)


def _no_run(folder: RunFolder) -> InvalidInputError:
    problem = "has no run of fedjob that can be read"
    fix = "give the folder that `fedjob run` printed (its --out)"
    return InvalidInputError([Fault(str(folder.out), problem, fix)])


def write_report(folder: RunFolder, *, running: bool = False) -> int:
    """Write report.html from the rounds committed so far.

    Args:
        folder: Where the run is.
        running: Whether a process works on the run now.

    Returns:
        Rounds in the report, without round 0.

    Raises:
        InvalidInputError: The folder has no run.
    """
    facts = read_facts(folder)
    if facts is None:
        raise _no_run(folder)
    commits = read_commits(folder)
    result = read_result(folder.result)
    if result is not None:
        facts = replace(
            facts,
            state=result.state,
            reason=result.reason,
            message=result.message,
            wall_seconds=result.seconds,
        )
    elif not running:
        facts = replace(facts, state="Stopped")
    facts = replace(facts, generated=rfc3339(time.time()))
    reasons = {str(reason): reason.summary for reason in Reason}
    write_text(folder.report, build(facts, commits, reasons))
    return sum(commit.round > 0 for commit in commits)
