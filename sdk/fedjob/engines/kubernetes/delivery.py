"""Brings the results of a run into a folder: the same files as those of a local run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedjob.engines.kubernetes.handle import KubernetesHandle, best_model_path
from fedjob.engines.kubernetes.transfer.results import Progress
from fedjob.engines.result import RoundLine, RunResult, RunState
from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.metric_text import in_order
from fedjob.protocol.commit import Commit
from fedjob.protocol.result_files import BEST_MODEL, MODEL, MODEL_PT, REPORT, RESULT

_LESS_IS_BETTER = ("loss", "error", "perplexity", "mae", "mse", "rmse")


def deliver(
    run: KubernetesHandle, folder: Path, progress: Progress
) -> tuple[RunResult, list[Path]]:
    """Write model.safetensors, GLOBAL_MODEL.pt, report.html and result.json.

    Where the job compares rounds, best_model.safetensors too.

    Args:
        run: A run that has ended.
        folder: Made where it is missing; files of these names are replaced.
        progress: Called with bytes done and in all.

    Returns:
        How it ended, and the files that were written.

    Raises:
        UnavailableError: The run has not ended, or a file cannot be had.
        InvalidInputError: The folder is that of a run on this machine.
    """
    if (folder / ".fedjob").is_dir():
        fix = "give another folder with --out DIR"
        problem = f"{folder} is the folder of a run on this machine"
        raise InvalidInputError([Fault("--out", problem, fix)])
    result = run.result()
    if result is None:
        status = run.status()
        done = status.rounds_text if status is not None else "0"
        raise UnavailableError(
            f"{run.namespace}/{run.name} has not ended (round {done}); --wait waits for its end, "
            f"--round N fetches the model of a committed round"
        )
    wanted = [REPORT] if result.state is RunState.FAILED else [MODEL, MODEL_PT, REPORT]
    targets = {f"model_out/{name}": folder / name for name in wanted}
    digests = {f"model_out/{MODEL}": result.model.sha256} if result.model is not None else {}
    best = result.best
    if best is not None:
        targets[best_model_path(best)] = folder / BEST_MODEL
        digests[best_model_path(best)] = best.sha256
    results = run.results(best.round if best is not None else None)
    missing = results.fetch(targets, sha256=digests, progress=progress)
    needed = [path for path in missing if not path.endswith(REPORT)]
    if needed:
        raise UnavailableError(
            f"{run.namespace}/{run.name}: {needed[0]} is not in the store any more; run it again"
        )
    folder.mkdir(parents=True, exist_ok=True)
    result.write(folder / RESULT)
    files = [path for key, path in targets.items() if key not in missing]
    return result, [*files, folder / RESULT]


def model_name(number: int) -> str:
    """The file of one round's model."""
    return f"round-{number}.safetensors"


def deliver_round(run: KubernetesHandle, number: int, path: Path, progress: Progress) -> Path:
    """Write the model of a committed round.

    Args:
        run: The run.
        number: 0 is the first model.
        path: The file.
        progress: Called with bytes done and in all.

    Raises:
        InvalidInputError: The round is not committed.
    """
    results = run.results(number)
    data = results.read(f"rounds/{number}/commit.json")
    missing = True
    if data is not None:
        commit = Commit.model_validate_json(data)
        key = f"rounds/{number}/{commit.model_file}"
        missing = bool(results.fetch({key: path}, sha256={key: commit.sha256}, progress=progress))
    if missing:
        status = run.status()
        done = status.completed if status is not None else 0
        fix = f"give a round from 0 to {done}" if done else "wait for the first round"
        raise InvalidInputError([Fault(f"round {number}", "is not committed", fix)])
    return path


def best_round(run: KubernetesHandle) -> int:
    """The best of the run's rounds, by the metric that its job names.

    Without one, by the most informative metric; while the run is under way, of the last rounds.

    Raises:
        InvalidInputError: No round has a metric.
    """
    status, result = run.status(), run.result()
    if status is not None and status.best is not None:
        return status.best.round
    rounds = status.history if status is not None else []
    found = best_of(result.rounds if result is not None else rounds)
    if found is None:
        fix = "give --round N"
        raise InvalidInputError([Fault(run.name, "no committed round has a metric", fix)])
    return found


def best_of(history: Sequence[RoundLine]) -> int | None:
    """The number of the best round; of equal ones the first.

    The metric is the first of `val_accuracy`, `val_loss`, `accuracy`, `loss` and then of the
    alphabet; of losses and errors less is better.
    """
    names = in_order({
        name for line in history for name, value in line.metrics.items() if value is not None
    }, 1)  # fmt: skip
    if not names:
        return None
    sign = -1.0 if any(word in names[0].lower() for word in _LESS_IS_BETTER) else 1.0
    values = [(line.metrics.get(names[0]), line.round) for line in history]
    known = [(sign * value, -number) for value, number in values if value is not None]
    return -max(known)[1]
