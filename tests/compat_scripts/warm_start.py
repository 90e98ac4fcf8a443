"""A path instead of a class, functions of other names, and the first weights of an earlier run."""

import torch

from fedjob.compat import FederationConfig, ModelConfig, ResonTech, ResonTechConfig

torch.save({"layer.weight": torch.full((1, 2), 3.0), "layer.bias": torch.zeros(1)}, "first.pt")

with ResonTech(ResonTechConfig(base_url="https://api.example.org")) as client:
    job = client.rt_submit(
        "plain_model.py",
        "compat-warm",
        "shards/",
        model_config=ModelConfig(
            model_class="model_def.Line",
            model_args={"width": 2},
            adapter_module="plain_adapter",
            train_fn="train_once",
        ),
        federation=FederationConfig(num_rounds=1, min_clients=2, wait_time_after_min_received=0),
        model_checkpoint="first.pt",
    )
    result = job.wait(timeout=600)
    print("status", job.status)
    # Every worker adds one to what it gets, so the mean is the first weights and one.
    print("weight", result.load()["layer.weight"].tolist())
