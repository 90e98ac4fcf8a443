"""Which round is the best, and whether the run stops early: a fold over the committed rounds. Pure.

Each round's `Standing` follows from the one before and from the round itself, and is part of its
commit. So any server start decides the same, and nothing has to be read again.
"""

from __future__ import annotations

import math

from fedjob.protocol.commit import BestRound, Commit, Standing
from fedjob.spec.models.federation import FederationConfig
from fedjob.spec.models.stopping import BestModel, StopWhen


def ranking(federation: FederationConfig) -> BestModel | None:
    """The metric that rounds are compared by, with its direction; None where they are not."""
    stop = federation.stop_when
    if stop is None:
        return federation.best_model
    # Without a threshold the validation asks for a mode.
    mode = stop.mode or ("max" if stop.at_least is not None else "min")
    return BestModel(metric=stop.metric, mode=mode)


def standing_after(
    commit: Commit, before: Standing | None, federation: FederationConfig
) -> Standing | None:
    """The standing after a round; None where rounds are not compared, and for round 0.

    Args:
        commit: The round, with its model's checksum and its metrics.
        before: The standing after the round before.
        federation: As it is now. After another metric or mode the comparison begins again.
    """
    by = ranking(federation)
    if by is None or commit.round == 0:
        return None
    before = before or Standing()
    best = before.best
    if best is not None and (best.metric, best.mode) != (by.metric, by.mode):
        best, before = None, Standing()
    value = commit.metrics.get(by.metric)
    if value is not None and not math.isfinite(value):
        value = None
    # A run that continues after an early stop gets its whole patience again.
    waited = (0 if before.stopped is not None else before.waited) + 1
    if value is not None and (best is None or _better(value, best)):
        waited = 0
        best = BestRound(
            round=commit.round,
            metric=by.metric,
            mode=by.mode,
            value=value,
            sha256=commit.sha256,
            size=commit.size,
        )
    stop = federation.stop_when
    stops = stop is not None and _is_met(stop, value, waited)
    return Standing(best=best, waited=waited, stopped=federation.num_rounds if stops else None)


def is_over(commit: Commit, num_rounds: int) -> bool:
    """Whether a run is complete with this commit.

    An early stop holds for the numRounds that it ended: raised afterwards, the run continues.

    Args:
        commit: The last one.
        num_rounds: federation.numRounds as it is now.
    """
    return rounds_reached(commit.round, stopped_at(commit)) >= num_rounds


def rounds_reached(last: int, stopped: int | None) -> int:
    """The numRounds that a run has satisfied.

    Args:
        last: Its last committed round.
        stopped: The numRounds that an early stop after it holds for; None where it did not stop.
    """
    return max(last, stopped or 0)


def stopped_at(commit: Commit) -> int | None:
    """federation.numRounds of a run that ended early with this commit; None where it did not."""
    return commit.standing.stopped if commit.standing is not None else None


def _better(value: float, best: BestRound) -> bool:
    return value > best.value if best.mode == "max" else value < best.value


def _is_met(stop: StopWhen, value: float | None, waited: int) -> bool:
    if stop.patience is not None and waited >= stop.patience:
        return True
    if value is None:
        return False
    if stop.at_least is not None and value >= stop.at_least:
        return True
    return stop.at_most is not None and value <= stop.at_most
