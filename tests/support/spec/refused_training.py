"""Refused jobs: the fault is in `spec.shards`, `spec.training` or `spec.federation`."""

from __future__ import annotations

from typing import Any

from support.spec.sample_job import ITEM, UPLOAD

_OF_OTHERS = {
    **dict.fromkeys(["learningRate", "beta1", "beta2", "tau", "mu", "fraction"], 0.25),
    "byzantine": 1,
}

SHARDS_AND_TRAINING: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "shards both": (
        {"spec.shards": {"uri": "s3://bucket/a/", "items": [ITEM]}},
        "spec.shards",
        "uri and items",
        "keep `uri`",
    ),
    "shards empty": ({"spec.shards.items": []}, "spec.shards.items", "empty list", "leave it out"),
    "shards text": ({"spec.shards": "data/"}, "spec.shards", "a mapping", "write for example"),
    "shard without uri": (
        {"spec.shards.items": [{"name": "a.zip"}]},
        "spec.shards.items[0].uri",
        "missing",
        "add `uri: s3://",
    ),
    "shard no zip": (
        {"spec.shards.items": [{**ITEM, "name": "a.tar"}]},
        "spec.shards.items[0].name",
        "ends in .zip",
        "`shard-1.zip`",
    ),
    "shard name twice": (
        {"spec.shards.items": [ITEM, ITEM]},
        "spec.shards.items[1].name",
        "already",
        "another name",
    ),
    "shard null": (
        {"spec.shards.items": [None]},
        "spec.shards.items[0]",
        "is null",
        "{name: shard",
    ),
    "shard checksum": (
        {"spec.shards.items": [{**ITEM, "sha256": "ABC"}]},
        "spec.shards.items[0].sha256",
        "64 lower-case",
        "0000",
    ),
    "shards 257": (
        {"spec.shards.items": [{**ITEM, "name": f"{i}.zip"} for i in range(257)]},
        "spec.shards.items",
        "257 entries",
        "at most 256",
    ),
    "validation elsewhere": (
        {"spec.shards": {"items": [ITEM, {**ITEM, "name": "b.zip"}], "validation": "c.zip"}},
        "spec.shards.validation",
        "none of the items",
        "add `{name: c.zip",
    ),
    "clients above shards": (
        {"spec.shards.items": [ITEM], "spec.federation.minClients": 2},
        "spec.federation.minClients",
        "2 clients must answer, but shards.items gives 1 worker",
        "write `minClients: 1`",
    ),
    "clients above shards without validation": (
        {
            "spec.shards": {"items": [ITEM, {**ITEM, "name": "b.zip"}], "validation": "b.zip"},
            "spec.federation.minClients": 2,
        },
        "spec.federation.minClients",
        "beside the validation shard",
        "write `minClients: 1`",
    ),
    "only a validation shard": (
        {"spec.shards": {"items": [ITEM], "validation": "a.zip"}},
        "spec.federation.minClients",
        "gives 0 workers",
        "add shards",
    ),
    "shards listed and uploaded": (
        {"spec.shards": {"items": [ITEM], "upload": {"files": [UPLOAD]}}},
        "spec.shards",
        "gives items and upload",
        "or `upload` for files",
    ),
    "upload without files": (
        {"spec.shards.upload": {}},
        "spec.shards.upload.files",
        "missing",
        "add `files: ",
    ),
    "upload empty": (
        {"spec.shards.upload.files": []},
        "spec.shards.upload.files",
        "empty list",
        "at least 1",
    ),
    "upload name twice": (
        {"spec.shards.upload.files": [UPLOAD, UPLOAD]},
        "spec.shards.upload.files[1].name",
        "already",
        "another name",
    ),
    "upload in a folder": (
        {"spec.shards.upload.files": [{**UPLOAD, "name": "../a.zip"}]},
        "spec.shards.upload.files[0].name",
        "ends in .zip",
        "`shard-1.zip`",
    ),
    "upload without checksum": (
        {"spec.shards.upload.files": [{"name": "a.zip", "size": 1}]},
        "spec.shards.upload.files[0].sha256",
        "missing",
        "add `sha256: ",
    ),
    "upload checksum in capitals": (
        {"spec.shards.upload.files": [{**UPLOAD, "sha256": "0F" * 32}]},
        "spec.shards.upload.files[0].sha256",
        "64 lower-case",
        "write for example `9f86",
    ),
    "upload of nothing": (
        {"spec.shards.upload.files": [{**UPLOAD, "size": 0}]},
        "spec.shards.upload.files[0].size",
        "0 is below 1",
        "from 1 to 5497558138880",
    ),
    "upload above what S3 stores": (
        {"spec.shards.upload.files": [{**UPLOAD, "size": 5 * 1024**4 + 1}]},
        "spec.shards.upload.files[0].size",
        "5497558138881",
        "from 1 to 5497558138880",
    ),
    "upload of 258": (
        {"spec.shards.upload.files": [{**UPLOAD, "name": f"{i}.zip"} for i in range(258)]},
        "spec.shards.upload.files",
        "258 entries",
        "at most 257",
    ),
    "validation not uploaded": (
        {
            "spec.shards": {
                "upload": {"files": [UPLOAD, {**UPLOAD, "name": "b.zip"}]},
                "validation": "c.zip",
            }
        },
        "spec.shards.validation",
        "none of upload.files",
        "put c.zip into the folder",
    ),
    "clients above uploads": (
        {"spec.shards.upload.files": [UPLOAD], "spec.federation.minClients": 2},
        "spec.federation.minClients",
        "but shards.upload.files gives 1 worker",
        "write `minClients: 1`",
    ),
    "batch text": (
        {"spec.training.batchSize": "32"},
        "spec.training.batchSize",
        'is "32", but must be a whole number',
        "write `batchSize: 32`, without quotes",
    ),
    "batch true": ({"spec.training.batchSize": True}, "spec.training.batchSize", "true", "32"),
    "batch a fraction": ({"spec.training.batchSize": 2.5}, "spec.training.batchSize", "2.5", "32"),
    "batch a float": (
        {"spec.training.batchSize": 8.0},
        "spec.training.batchSize",
        "8.0",
        "Size: 8`",
    ),
    "batch zero": (
        {"spec.training.batchSize": 0},
        "spec.training.batchSize",
        "0 is below 1",
        "a whole number from 1 to",
    ),
    "batch huge": (
        {"spec.training.batchSize": 10**18},
        "spec.training.batchSize",
        "is above 1048576",
        "to 1048576",
    ),
    "batch in snake case": (
        {"spec.training.batch_size": 4},
        "spec.training.batch_size",
        "not a field",
        "write `batchSize`",
    ),
    "rate text": (
        {"spec.training.learningRate": "fast"},
        "spec.training.learningRate",
        "fast",
        "0.001",
    ),
    "rate quoted": (
        {"spec.training.learningRate": "0.1"},
        "spec.training.learningRate",
        "0.1",
        "quotes",
    ),
    "rate zero": (
        {"spec.training.learningRate": 0},
        "spec.training.learningRate",
        "below",
        "from 1e-09",
    ),
    "rate infinite": (
        {"spec.training.learningRate": float("inf")},
        "spec.training.learningRate",
        "is not a finite number",
        "to 1000",
    ),
    "epochs negative": (
        {"spec.training.localEpochs": -1},
        "spec.training.localEpochs",
        "-1",
        "from 1",
    ),
    "classes negative": (
        {"spec.training.numClasses": -1},
        "spec.training.numClasses",
        "-1",
        "from 0",
    ),
    "manifest with folder": (
        {"spec.training.manifestFile": "data/manifest.ndjson"},
        "spec.training.manifestFile",
        "a file name",
        "manifest.ndjson",
    ),
    "extra not finite": (
        {"spec.training.extra.a": [{"b": float("nan")}]},
        "spec.training.extra",
        "not finite",
        "finite number",
    ),
    "extra of our own": (
        {"spec.training.extra.DEVICE": "cuda"},
        "spec.training.extra.DEVICE",
        "is set by fedjob itself",
        "rename it",
    ),
    "extra contradicts a field": (
        {"spec.training.learningRate": 0.5, "spec.training.extra.LR": 1},
        "spec.training.extra.LR",
        "is 1, but training.learningRate is 0.5",
        "keep one",
    ),
    "extra sets a field to what it cannot be": (
        {"spec.training.extra.IMG_SIZE": "64"},
        "spec.training.imgSize",
        "must be a whole number",
        "without quotes",
    ),
}
FEDERATION: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "rounds zero": (
        {"spec.federation.numRounds": 0},
        "spec.federation.numRounds",
        "below 1",
        "10000",
    ),
    "rounds misplaced": (
        {"spec.numRounds": 3},
        "spec.numRounds",
        "not a field",
        "move it: write `spec.federation.numRounds`",
    ),
    "rounds misspelt": (
        {"spec.federation.numRound": 3},
        "spec.federation.numRound",
        "not a field",
        "write `numRounds`",
    ),
    "unknown": (
        {"spec.federation.zzz": 3},
        "spec.federation.zzz",
        "not a field",
        "remove it; spec.federation has numRounds, minClients",
    ),
    "strategy unknown": (
        {"spec.federation.strategy": {"name": "FedSGD"}},
        "spec.federation.strategy.name",
        "FedSGD",
        "write `FedAvg`",
    ),
    **{
        f"strategy with another's {argument}": (
            {"spec.federation.strategy": {"name": "Median", "args": {argument: value}}},
            f"spec.federation.strategy.args.{argument}",
            "does not belong to Median, but to",
            "remove it",
        )
        for argument, value in _OF_OTHERS.items()
    },
    "strategy with another's momentum": (
        {"spec.federation.strategy": {"name": "FedProx", "args": {"momentum": 0.5}}},
        "spec.federation.strategy.args.momentum",
        "does not belong to FedProx, but to FedAvgM",
        "remove it",
    ),
    "strategy with another's keep": (
        {"spec.federation.strategy": {"name": "TrimmedMean", "args": {"keep": 2}}},
        "spec.federation.strategy.args.keep",
        "does not belong to TrimmedMean, but to Krum",
        "remove it",
    ),
    "strategy tau zero": (
        {"spec.federation.strategy": {"name": "FedAdam", "args": {"tau": 0}}},
        "spec.federation.strategy.args.tau",
        "0",
        "a number from 1e-12",
    ),
    "strategy momentum one": (
        {"spec.federation.strategy": {"name": "FedAvgM", "args": {"momentum": 1}}},
        "spec.federation.strategy.args.momentum",
        "above 0.999999",
        "a number from 0 to 0.999999",
    ),
    "krum with few clients": (
        {"spec.federation.strategy": {"name": "Krum"}, "spec.federation.minClients": 4},
        "spec.federation.minClients",
        "4 is too few for Krum, which needs 5",
        "minClients: 5",
    ),
    "stop without a condition": (
        {"spec.federation.stopWhen": {"metric": "val_loss"}},
        "spec.federation.stopWhen",
        "has no condition",
        "add `atLeast: 0.9`",
    ),
    "stop without a metric": (
        {"spec.federation.stopWhen": {"patience": 3, "mode": "min"}},
        "spec.federation.stopWhen.metric",
        "missing",
        "",
    ),
    "stop with both thresholds": (
        {"spec.federation.stopWhen": {"metric": "m", "atLeast": 0.9, "atMost": 0.1}},
        "spec.federation.stopWhen.atMost",
        "opposite direction",
        "remove one of the two",
    ),
    "stop with patience without a mode": (
        {"spec.federation.stopWhen": {"metric": "m", "patience": 3}},
        "spec.federation.stopWhen.mode",
        "is missing",
        "mode: min",
    ),
    "stop with a mode against its threshold": (
        {"spec.federation.stopWhen": {"metric": "m", "atMost": 0.1, "mode": "max"}},
        "spec.federation.stopWhen.mode",
        "`max` contradicts atMost",
        "mode: min",
    ),
    "stop with patience zero": (
        {"spec.federation.stopWhen": {"metric": "m", "mode": "min", "patience": 0}},
        "spec.federation.stopWhen.patience",
        "below 1",
        "from 1 to 10000",
    ),
    "best model beside stop": (
        {
            "spec.federation.stopWhen": {"metric": "m", "atMost": 0.1},
            "spec.federation.bestModel": {"metric": "m", "mode": "min"},
        },
        "spec.federation.bestModel",
        "beside stopWhen",
        "remove one of the two",
    ),
    "best model without a mode": (
        {"spec.federation.bestModel": {"metric": "m"}},
        "spec.federation.bestModel.mode",
        "missing",
        "",
    ),
    "strategy and aggregator": (
        {
            "spec.federation.strategy": {"name": "Median"},
            "spec.components": {"aggregator": {"path": "model_def.Mine"}},
        },
        "spec.components.aggregator",
        "takes the place of federation.strategy Median",
        "remove one",
    ),
    "job name with space": (
        {"spec.federation.jobName": "a b"},
        "spec.federation.jobName",
        "a b",
        "rt",
    ),
    "component no path": (
        {"spec.components.executor": {"path": "MyExecutor"}},
        "spec.components.executor.path",
        "a module and a class",
        "model_def.MyClass",
    ),
    "component args": (
        {"spec.components.persistor": {"path": "a.B", "args": {"for": 1}}},
        "spec.components.persistor.args",
        "`for`",
        "hidden_size",
    ),
}
