"""Jobs at and inside the limits of the schema: changes of the sample job."""

from __future__ import annotations

from typing import Any

from support.spec.sample_job import ITEM, UPLOAD

JOBS: dict[str, dict[str, Any]] = {
    "class nested": {"spec.model.className": "Outer.Inner"},
    "files of every kind": {
        "spec.model.files": [
            {"path": "helpers.py", "text": "X = 1"},
            {"path": "empty.txt", "text": ""},
            {"path": ".config/labels.txt", "configMapKeyRef": {"name": "m", "key": "labels.txt"}},
            {"path": "tokenizer.json", "uri": "s3://bucket/tokenizer.json"},
            {"path": "data", "uri": "s3://bucket/data/"},
            {"path": ".", "uri": "s3://bucket/code.tar.gz"},
            {"path": "samples.zip", "uri": "s3://bucket/samples.zip"},
        ]
    },
    "texts at the limit together": {
        "spec.model.files": [{"path": f"{n}.txt", "text": "x" * 65536} for n in range(2)]
    },
    "requirement with hashes": {
        "spec.model.requirements": [
            f"numpy==2.0 --hash=sha256:{'0' * 64} --hash=sha256:{'1' * 64}",
            f"tiny==1.0; python_version < '3.13' --hash=sha512:{'a' * 128}",
        ]
    },
    "requirement a wheel": {
        "spec.model.requirements": ["./wheels/tiny-1.0+local.1-py3-none-any.whl"]
    },
    "smallest": {},
    "name of 40": {"metadata.name": "a" * 40},
    "name of one": {"metadata.name": "a"},
    "namespace": {"metadata.namespace": "team-a"},
    "timestamp": {"metadata.creationTimestamp": None},
    "inline": {"spec.model.source": {"inline": "x" * 262144}},
    "config map": {"spec.model.source": {"configMapRef": {"name": "my.map"}}},
    "args": {"spec.model.args": {f"a{i}": None for i in range(64)}},
    "args deep": {"spec.model.args.a": [[[[[[[1]]]]]]]},
    "long list": {"spec.model.args.a": [0] * 4096},
    "long text": {"spec.model.args.a": "x" * 8192},
    "function": {"spec.model.trainFunction": "fl_train"},
    "requirements": {
        "spec.model.requirements": [
            "numpy",
            "a-b_c.d[x,y] >=1.0, !=1.5, <2",
            "pkg @ https://files.example/pkg.whl",
            "x==1.*; python_version < '3.12' and sys_platform == \"linux\"",
        ]
    },
    "requirements with docker": {
        "spec.model.requirements": ["numpy"],
        "spec.image.builder": "docker",
    },
    "append without requirements": {
        "spec.model.requirements": [],
        "spec.image.builder": "append",
    },
    "shards by prefix": {"spec.shards": {"uri": "s3://bucket", "validation": "v.zip"}},
    "shards by prefix with slash": {"spec.shards.uri": "s3://bucket/a/b/"},
    "shards 256": {
        "spec.shards.items": [{**ITEM, "name": f"{i}.zip"} for i in range(256)],
        "spec.federation.minClients": 256,
    },
    "validation among items": {
        "spec.shards": {"items": [ITEM, {**ITEM, "name": "b.zip"}], "validation": "b.zip"},
        "spec.federation.minClients": 1,
    },
    "checksum": {"spec.shards.items": [{**ITEM, "sha256": "0f" * 32}]},
    "upload": {
        "spec.shards": {
            "upload": {"files": [UPLOAD, {**UPLOAD, "name": "b.zip"}]},
            "validation": "b.zip",
        },
        "spec.federation.minClients": 1,
    },
    "upload of 257": {
        "spec.shards": {
            "upload": {"files": [{**UPLOAD, "name": f"{i}.zip"} for i in range(257)]},
            "validation": "0.zip",
        },
        "spec.federation.minClients": 256,
    },
    "upload of 5 TiB": {
        "spec.shards.upload.files": [{**UPLOAD, "size": 5 * 1024**4}],
        "spec.federation.minClients": 1,
    },
    "model upload": {
        "spec.model.source": {"upload": {"sha256": "0f" * 32, "size": 16 * 1024**2}},
        "spec.model.upload": {
            "checkpoint": {"suffix": ".pt", "sha256": "0f" * 32, "size": 5 * 1024**4},
            "files": [
                {"path": "vocabulary.bin", "sha256": "0f" * 32, "size": 16 * 1024**2},
                {"path": "pkg/model_def.py", "sha256": "0f" * 32, "size": 0},
            ],
        },
    },
    "model upload of 1000 files": {
        "spec.model.upload.files": [
            {"path": f"{i}.bin", "sha256": "0f" * 32, "size": 1} for i in range(1000)
        ]
    },
    "model upload of a checkpoint alone": {
        "spec.model.upload.checkpoint": {
            "suffix": ".safetensors",
            "sha256": "0f" * 32,
            "size": 1,
        }
    },
    "training low": {
        "spec.training": {
            "numClasses": 0,
            "localEpochs": 1,
            "batchSize": 1,
            "learningRate": 1e-9,
            "imgSize": 1,
            "manifestFile": "m",
            "extra": {},
        }
    },
    "training high": {
        "spec.training": {
            "numClasses": 1000000,
            "localEpochs": 10000,
            "batchSize": 1048576,
            "learningRate": 1000,
            "imgSize": 16384,
            "manifestFile": "m" * 128,
            "extra": {"momentum": 0.9, "nested": {"a": [1, None, "x", True]}},
        }
    },
    "strategy fedavg beside an aggregator": {
        "spec.federation.strategy": {"name": "FedAvg"},
        "spec.components": {"aggregator": {"path": "model_def.Mine"}},
    },
    "strategy adam": {
        "spec.federation.strategy": {
            "name": "FedAdam",
            "args": {"learningRate": 0.0, "beta1": 0.5, "beta2": 0, "tau": 1e-09},
        },
    },
    "strategy adagrad": {
        "spec.federation.strategy": {"name": "FedAdagrad", "args": {"beta1": 0.9, "tau": 1}},
    },
    "strategy trimmed": {
        "spec.federation.strategy": {"name": "TrimmedMean", "args": {"fraction": 0.49}},
    },
    "strategy prox": {"spec.federation.strategy": {"name": "FedProx", "args": {"mu": 1}}},
    "strategy krum": {
        "spec.federation.strategy": {"name": "Krum", "args": {"byzantine": 2, "keep": 3}},
        "spec.federation.minClients": 7,
    },
    "strategy krum without bad answers": {
        "spec.federation.strategy": {"name": "Krum", "args": {"byzantine": 0}},
        "spec.federation.minClients": 3,
    },
    "stop at least": {"spec.federation.stopWhen": {"metric": "val_accuracy", "atLeast": 0.9}},
    "stop at most": {
        "spec.federation.stopWhen": {"metric": "val_loss", "atMost": -1, "mode": "min"}
    },
    "stop by patience": {
        "spec.federation.stopWhen": {"metric": "loss", "mode": "min", "patience": 3}
    },
    "stop by both": {
        "spec.federation.stopWhen": {"metric": "loss", "atMost": 0.5, "patience": 10000}
    },
    "best model": {"spec.federation.bestModel": {"metric": "val_accuracy", "mode": "max"}},
    "federation low": {
        "spec.federation": {
            "numRounds": 1,
            "minClients": 1,
            "waitTimeAfterMinReceived": 0,
            "heartBeatTimeout": 1,
            "roundTimeout": 1,
            "jobName": "j",
        }
    },
    "federation high": {
        "spec.federation": {
            "numRounds": 10000,
            "minClients": 256,
            "waitTimeAfterMinReceived": 86400,
            "heartBeatTimeout": 86400,
            "roundTimeout": 604800,
            "jobName": "J" * 63,
        }
    },
    "components": {
        "spec.components": {
            "executor": {"path": "model_def.E", "args": {"a": 1}},
            "persistor": {"path": "a.b.P"},
            "aggregator": {"path": "a.A"},
        }
    },
    "image": {"spec.image": {"base": "host:5000/a/b@sha256:00", "pullSecrets": ["a", "b"]}},
    "gpu none": {"spec.workers": {"gpu": 0, "gpuFallback": "cpu", "maxRestarts": 0}},
    "gpu wait": {"spec.workers": {"gpu": 16, "gpuFallback": "wait", "maxRestarts": 100}},
    "resources": {
        "spec.workers.resources": {
            "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": 10},
            "limits": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "1k"},
        }
    },
    "resources by one side": {"spec.server.resources": {"requests": {"cpu": "2"}, "limits": {}}},
    "placement": {
        "spec.server": {
            "nodeSelector": {"disk": "ssd"},
            "runtimeClassName": "nvidia",
            "priorityClassName": "high",
            "tolerations": [
                {"operator": "Exists"},
                {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0},
            ],
        }
    },
    "storage": {
        "spec.storage": {
            "bucket": "abc",
            "prefix": "team-a/",
            "endpoint": "http://127.0.0.1:9000",
            "region": "us-east-1",
            "secretRef": {"name": "s"},
        }
    },
    "storage by operator": {"spec.storage": {"bucket": "abc"}},
    "policy low": {
        "spec.runPolicy": {
            "suspend": True,
            "activeDeadlineSeconds": 1,
            "ttlSecondsAfterFinished": 0,
            "backoffLimit": 0,
        }
    },
    "policy high": {
        "spec.runPolicy": {
            "activeDeadlineSeconds": 31536000,
            "ttlSecondsAfterFinished": 31536000,
            "backoffLimit": 100,
        }
    },
    "deadline of a round": {
        "spec.runPolicy.activeDeadlineSeconds": 6,
        "spec.federation.roundTimeout": 6,
    },
    "null sections": {
        "spec.training": None,
        "spec.shards": {"items": None},
        "spec.workers": {"resources": None, "gpu": None},
    },
    "with status": {"status": {"state": "Complete", "anything": 1}},
}
