"""Restores a server start from the store: the last committed round, its model, the inputs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from fedjob.protocol.commit import Commit
from fedjob.protocol.config import ServerConfig
from fedjob.spec.models.status import HISTORY_LENGTH
from fedjob.storage.bucket import Bucket
from fedjob.storage.rounds import RoundLog
from fedjob.workspace.shard.archive import unpack_shard
from fedjob_runtime.server.ipc import Handover


@dataclass(frozen=True, slots=True)
class Restored:
    """How far the run is.

    Attributes:
        last: The last committed round; -1 before round 0.
        history: The last committed rounds, oldest first.
    """

    last: int = -1
    history: list[Commit] = field(default_factory=list)


def restore(
    config: ServerConfig, bucket: Bucket, log: RoundLog, handover: Handover, state: Path
) -> Restored:
    """Downloads what the next segment starts from.

    Files of an earlier start that were not committed are dropped: they may be incomplete.

    Raises:
        RoundGapError: The log of rounds has a gap.
    """
    shutil.rmtree(state / "rounds", ignore_errors=True)
    (state / "segment.json").unlink(missing_ok=True)
    if config.checkpoint is not None and not list(state.glob("checkpoint.*")):
        suffix = Path(config.checkpoint).suffix
        bucket.download_file(config.checkpoint, state / f"checkpoint{suffix}")
    if config.validation_shard is not None and not (state / "validation").is_dir():
        archive = state / "validation.zip"
        bucket.download_file(config.validation_shard, archive)
        unpack_shard(
            archive,
            state / "validation",
            manifest_file=None,  # checked before the job started
            name=Path(config.validation_shard).name,
        )
        archive.unlink()
    rounds = log.commits()
    if not rounds:
        return Restored()
    last = rounds[-1]
    history = [log.read(number) for number in rounds[-HISTORY_LENGTH:] if number > 0]
    if last < config.spec.federation.num_rounds:
        log.fetch_model(last, handover.model_file(last))
    return Restored(last, history)
