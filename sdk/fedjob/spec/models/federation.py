"""`spec.federation`: rounds, quorum and patience (CONTRACT row 5 has the defaults)."""

from __future__ import annotations

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import LABEL
from fedjob.spec.models.shards import MAX_SHARDS
from fedjob.spec.models.stopping import BestModel, StopWhen
from fedjob.spec.models.strategy import Strategy


class FederationConfig(Model):
    """Number of rounds, quorum and waiting times, in seconds."""

    num_rounds: int = Field(
        5, ge=1, le=10000, description="Rounds to run; fewer where stopWhen is met."
    )
    min_clients: int = Field(
        1, ge=1, le=MAX_SHARDS, description="Clients that must answer before a round is aggregated."
    )
    wait_time_after_min_received: int = Field(
        10, ge=0, le=86400, description="Seconds to wait for more once minClients have answered."
    )
    heart_beat_timeout: int = Field(
        600, ge=1, le=86400, description="Seconds of silence after which a client is dropped."
    )
    round_timeout: int | None = Field(
        None,
        ge=1,
        le=604800,
        description="Seconds after which a round stops waiting for clients; absent: no limit.",
    )
    partial: bool = Field(
        False,
        description="Answers may hold a part of the model's tensors, such as adapters; each tensor "
        "is averaged over the workers that sent it, and the others stay as they are.",
    )
    strategy: Strategy | None = Field(
        None, description="How answers become the next global model; absent: FedAvg."
    )
    stop_when: StopWhen | None = Field(
        None, description="When to stop before numRounds; absent: never."
    )
    best_model: BestModel | None = Field(
        None, description="Keep the best round by this metric, without stopping early."
    )
    job_name: str = Field(
        "rt_job",
        min_length=1,
        max_length=63,
        pattern=LABEL,
        description="Name in the NVFlare job's meta.json.",
    )
