"""A model file of its own, the documented training function, and the client as a context."""

from pathlib import Path

from numbers_model import Net

from fedjob.compat import FederationConfig, ResonTech, ResonTechConfig, TrainingConfig

config = ResonTechConfig(
    base_url="https://api.example.org",
    email="ada@example.org",
    s3_bucket_alias="team-data",
    s3_region="eu-central-1",
)

with ResonTech(config) as client:
    client.login()
    job = client.rt_submit(
        Net,
        "compat-file",
        "shards/",
        training=TrainingConfig(local_epochs=2, batch_size=4, extra={"MOMENTUM": 0.5}),
        federation=FederationConfig(num_rounds=2, min_clients=2, wait_time_after_min_received=0),
        worker_ids=[4, 7],
        max_price=0.4,
    )
    print("dashboard", job.dashboard_url)
    result = job.wait(timeout=600)
    print("status", job.status)
    print("rounds", len(result.rounds), sorted(result.rounds[-1].metrics))
    print("weights", sorted(result.load()))
    print("folder", sorted(p.name for p in result.download(Path("out")).iterdir()))
