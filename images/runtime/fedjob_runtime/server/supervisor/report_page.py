"""The report of a finished run, made of its log of rounds."""

from __future__ import annotations

from datetime import UTC, datetime

from fedjob.protocol.config import ServerConfig
from fedjob.report import JobFacts, build
from fedjob.storage.rounds import RoundLog


def report_page(config: ServerConfig, log: RoundLog) -> str:
    """The HTML of a complete run; the other ends are told by the engine that started it."""
    training, federation = config.spec.training, config.spec.federation
    facts = JobFacts(
        name=config.name,
        namespace=config.namespace,
        state="Complete",
        total_rounds=federation.num_rounds,
        class_name=config.spec.model.class_name or "",
        shards={worker.name: worker.shard for worker in config.workers},
        settings={
            "local epochs": training.local_epochs,
            "batch size": training.batch_size,
            "learning rate": training.learning_rate,
            "classes": config.num_classes,
            "min clients": federation.min_clients,
        },
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return build(facts, [log.read(number) for number in log.commits()])
