"""Looks at the rendered job first, and averages with an aggregator of its own."""

import json

from median_model import Net

from fedjob.compat import FederationConfig, ResonTech, RTJobBuilder, TrainingConfig

training = TrainingConfig(local_epochs=1)
federation = FederationConfig(
    num_rounds=1,
    min_clients=2,
    wait_time_after_min_received=0,
    aggregator_path="model_def.FirstAnswer",
    workflow_path="nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather",
)

builder = RTJobBuilder(name="compat-mean", training=training, federation=federation)
scripts = builder.render_scripts(Net)
print("scripts", sorted(scripts))
assert "class FirstAnswer" in scripts["model_def.py"]
server = json.loads(builder.render_configs(Net)["config_fed_server.json"])
print("aggregator", [part["path"] for part in server["components"] if part["id"] == "aggregator"])

client = ResonTech(base_url="https://api.example.org")
job = client.rt_submit(Net, "compat-mean", "shards/", training=training, federation=federation)
print("status", job.wait(timeout=600).state)
print("value", job.run.result().load()["value"].item())
