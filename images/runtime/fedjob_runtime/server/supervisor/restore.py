"""Restores a server start from the store: the last committed round, its model, the inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedjob.protocol.commit import Commit, Standing
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.standing import is_over
from fedjob.spec.models.status import HISTORY_LENGTH
from fedjob.storage.bucket import Bucket
from fedjob.storage.rounds import RoundLog
from fedjob.workspace.shard.archive import unpack_shard
from fedjob_runtime.server.supervisor.handover import SupervisorHandover


@dataclass(frozen=True, slots=True)
class Restored:
    """How far the run is.

    Attributes:
        last: The last committed round; -1 before round 0.
        history: The last committed rounds, oldest first.
    """

    last: int = -1
    history: list[Commit] = field(default_factory=list)

    @property
    def standing(self) -> Standing | None:
        """The standing after the last committed round."""
        return self.history[-1].standing if self.history else None

    def over(self, num_rounds: int) -> bool:
        """Whether the run is complete with its last committed round."""
        return bool(self.history) and is_over(self.history[-1], num_rounds)


def restore(
    config: ServerConfig, bucket: Bucket, log: RoundLog, handover: SupervisorHandover
) -> Restored:
    """Downloads what the next segment starts from, to the folder of orders.

    Raises:
        RoundGapError: The log of rounds has a gap.
    """
    handover.clear_orders()
    if config.checkpoint is not None and handover.checkpoint() is None:
        suffix = Path(config.checkpoint).suffix
        target = handover.orders / f"checkpoint{suffix}"
        bucket.download_file(config.checkpoint, target)
        handover.share(target)
    if config.validation_shard is not None and not handover.validation().is_dir():
        archive = handover.orders / "validation.zip"
        bucket.download_file(config.validation_shard, archive)
        unpack_shard(
            archive,
            handover.validation(),
            manifest_file=None,  # checked before the job started
            name=Path(config.validation_shard).name,
        )
        archive.unlink()
    rounds = log.commits()
    if not rounds:
        return Restored()
    last = rounds[-1]
    history = [log.read(number) for number in rounds[-HISTORY_LENGTH:] if number > 0]
    restored = Restored(last, history)
    if not restored.over(config.spec.federation.num_rounds):
        commit = log.fetch_model(last, handover.start_model(last))
        log.fetch_strategy(commit, handover.start_strategy(last))
        handover.share(handover.start_model(last))
        handover.share(handover.start_strategy(last))
    return restored
