"""Refused jobs: the fault is in the image, the pods, the storage or the run policy."""

from __future__ import annotations

from typing import Any

PODS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "builder misspelt": (
        {"spec.image.builder": "dokcer"},
        "spec.image.builder",
        "none of append, docker",
        "write `docker`",
    ),
    "builder unknown": (
        {"spec.image.builder": "zz"},
        "spec.image.builder",
        "none of",
        "one of append",
    ),
    "pull secret twice": (
        {"spec.image.pullSecrets": ["a", "a"]},
        "spec.image.pullSecrets[1]",
        "already",
        "remove",
    ),
    "image with space": (
        {"spec.image.base": "a b"},
        "spec.image.base",
        "reference",
        "team/runtime",
    ),
    "gpu wait without gpu": (
        {"spec.workers": {"gpu": 0, "gpuFallback": "wait"}},
        "spec.workers.gpuFallback",
        "gpu is 0",
        "`gpuFallback: cpu`",
    ),
    "gpu 17": ({"spec.workers.gpu": 17}, "spec.workers.gpu", "above 16", "from 0 to 16"),
    "cpu a fraction": (
        {"spec.workers.resources.limits.cpu": 0.5},
        "spec.workers.resources.limits.cpu",
        "0.5",
        '`cpu: "0.5"`, in quotes',
    ),
    "cpu negative": (
        {"spec.server.resources.limits.cpu": -1},
        "spec.server.resources.limits.cpu",
        "quantity",
        "500m",
    ),
    "memory as text": (
        {"spec.workers.resources.limits.memory": "4 GB"},
        "spec.workers.resources.limits.memory",
        "quantity",
        "4Gi",
    ),
    "request above limit": (
        {"spec.workers.resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1500M"}}},
        "spec.workers.resources.requests.memory",
        "2Gi is above limits.memory",
        "`memory: 1500M` at most",
    ),
    "disk above limit": (
        {
            "spec.server.resources": {
                "requests": {"ephemeral-storage": 2000},
                "limits": {"ephemeral-storage": "1k"},
            }
        },
        "spec.server.resources.requests.ephemeral-storage",
        "2000 is above",
        "raise the limit",
    ),
    "gpu by resources": (
        {"spec.workers.resources.limits": {"nvidia.com/gpu": 1}},
        "spec.workers.resources.limits.nvidia.com/gpu",
        "not a field",
        "has cpu, memory",
    ),
    "toleration without key": (
        {"spec.workers.tolerations": [{"value": "a"}]},
        "spec.workers.tolerations[0].key",
        "missing",
        "operator: Exists",
    ),
    "toleration with value": (
        {"spec.server.tolerations": [{"operator": "Exists", "value": "a"}]},
        "spec.server.tolerations[0].value",
        "compares no value",
        "remove value",
    ),
    "toleration seconds": (
        {"spec.workers.tolerations": [{"key": "a", "tolerationSeconds": 1}]},
        "spec.workers.tolerations[0].tolerationSeconds",
        "effect absent",
        "NoExecute",
    ),
    "bucket in capitals": (
        {"spec.storage.bucket": "Data"},
        "spec.storage.bucket",
        "Data",
        "my-bucket",
    ),
    "prefix with slash": (
        {"spec.storage.prefix": "/a"},
        "spec.storage.prefix",
        "key prefix",
        "team-a/",
    ),
    "endpoint without scheme": (
        {"spec.storage": {"endpoint": "store:9000", "secretRef": {"name": "s"}}},
        "spec.storage.endpoint",
        "http or https",
        "https://store.example:9000",
    ),
    "endpoint without secret": (
        {"spec.storage.endpoint": "https://store.example"},
        "spec.storage.secretRef",
        "missing",
        "AWS_SECRET_ACCESS_KEY",
    ),
    "region": ({"spec.storage.region": "EU"}, "spec.storage.region", "region", "us-east-1"),
    "suspend text": (
        {"spec.runPolicy.suspend": "yes"},
        "spec.runPolicy.suspend",
        "true or",
        "`suspend: true`",
    ),
    "deadline below a round": (
        {"spec.runPolicy.activeDeadlineSeconds": 5, "spec.federation.roundTimeout": 6},
        "spec.runPolicy.activeDeadlineSeconds",
        "5 is below federation.roundTimeout",
        "activeDeadlineSeconds: 6",
    ),
    "backoff": (
        {"spec.runPolicy.backoffLimit": 101},
        "spec.runPolicy.backoffLimit",
        "above",
        "0 to 100",
    ),
}
