"""Job files that are refused, and ones that are accepted: by fedjob and by the API server alike.

Where the two differ stands at the end, case by case, with the reason.
"""

from __future__ import annotations

from typing import Any

ABSENT = object()
ITEM = {"name": "a.zip", "uri": "s3://bucket/a.zip"}
UPLOAD = {"name": "a.zip", "sha256": "0f" * 32, "size": 1}


def job(changes: dict[str, Any]) -> dict[str, Any]:
    """A small valid job with values put at dotted paths; ABSENT removes."""
    data: dict[str, Any] = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": {"source": {"uri": "s3://bucket/model_def.py"}, "className": "Net"}},
    }
    for path, value in changes.items():
        *above, last = path.split(".")
        node = data
        for name in above:
            node = node.setdefault(name, {})
        if value is ABSENT:
            del node[last]
        else:
            node[last] = value
    return data


# (changes, the field at fault, a part of the problem, a part of the fix)
REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "api version missing": (
        {"apiVersion": ABSENT},
        "apiVersion",
        "missing",
        "add `apiVersion: fed",
    ),
    "api version old": ({"apiVersion": "fedjob.dev/v1"}, "apiVersion", "v1", "fedjob.dev/v1alpha1"),
    "kind missing": ({"kind": ABSENT}, "kind", "missing", "add `kind: FederatedJob`"),
    "kind in capitals": (
        {"kind": "federatedjob"},
        "kind",
        "federated",
        "write `kind: FederatedJob`",
    ),
    "another kind": ({"kind": "Pod", "spec.x": 1}, "kind", '"Pod"', "write `kind: FederatedJob`"),
    "metadata missing": ({"metadata": ABSENT}, "metadata", "missing", "{name: digits}"),
    "metadata a list": ({"metadata": []}, "metadata", "a mapping", "write for example"),
    "name missing": ({"metadata.name": ABSENT}, "metadata.name", "missing", "add `name: digits`"),
    "name null": ({"metadata.name": None}, "metadata.name", "missing", "add `name: digits`"),
    "name empty": ({"metadata.name": ""}, "metadata.name", "is empty", "name: digits"),
    "name in capitals": ({"metadata.name": "Digits"}, "metadata.name", '"Digits"', "`digits`"),
    "name with digit first": ({"metadata.name": "1st"}, "metadata.name", "letter", "`digits`"),
    "name with newline": ({"metadata.name": "a\n"}, "metadata.name", "lower-case", "`digits`"),
    "name of 41": ({"metadata.name": "a" * 41}, "metadata.name", "41", "at most 40 characters"),
    "name a number": (
        {"metadata.name": 7},
        "metadata.name",
        "must be text",
        '`name: "7"`, in quotes',
    ),
    "namespace bad": ({"metadata.namespace": "a_b"}, "metadata.namespace", "lower", "`default`"),
    "metadata misspelt": (
        {"metadata.lables": {}},
        "metadata.lables",
        "not a field",
        "write `labels`",
    ),
    "label a number": ({"metadata.labels": {"a": 1}}, "metadata.labels.a", "text", '`a: "1"`'),
    "spec missing": ({"spec": ABSENT}, "spec", "missing", "add `spec: {model: {source: "),
    "spec text": ({"spec": "x"}, "spec", 'is "x", but must be a mapping', "write for example"),
    "top unknown": ({"sepc": {}}, "sepc", "not a field", "write `spec`"),
    "model missing": ({"spec.model": ABSENT}, "spec.model", "missing", "source: {uri: s3://"),
    "class misspelt": (
        {"spec.model.className": ABSENT, "spec.model.classname": "Net"},
        "spec.model.classname",
        "not a field",
        "write `className`",
    ),
    "class with dots": (
        {"spec.model.className": "a..B"},
        "spec.model.className",
        '"a..B"',
        "`Net`",
    ),
    "class with a dot last": (
        {"spec.model.className": "a."},
        "spec.model.className",
        '"a."',
        "Net",
    ),
    "nested class a keyword": (
        {"spec.model.className": "Outer.class"},
        "spec.model.className",
        "`class` is a keyword",
        "Net",
    ),
    "file without path": (
        {"spec.model.files": [{"text": "x"}]},
        "spec.model.files[0].path",
        "missing",
        "add `path: helpers.py`",
    ),
    "file without content": (
        {"spec.model.files": [{"path": "a.txt"}]},
        "spec.model.files[0]",
        "no content",
        "`text: |`",
    ),
    "file with two contents": (
        {"spec.model.files": [{"path": "a.txt", "text": "x", "uri": "s3://bucket/a.txt"}]},
        "spec.model.files[0]",
        "gives text and uri",
        "keep one of text, uri",
    ),
    "file outside": (
        {"spec.model.files": [{"path": "../a.py", "text": "x"}]},
        "spec.model.files[0].path",
        "relative path",
        "`helpers.py`",
    ),
    "file outside by its folder": (
        {"spec.model.files": [{"path": "a/../../b.py", "text": "x"}]},
        "spec.model.files[0].path",
        "without `..`",
        "`helpers.py`",
    ),
    "file absolute": (
        {"spec.model.files": [{"path": "/etc/passwd", "text": "x"}]},
        "spec.model.files[0].path",
        "relative path",
        "`helpers.py`",
    ),
    "file a folder": (
        {"spec.model.files": [{"path": "data/", "text": "x"}]},
        "spec.model.files[0].path",
        "relative path",
        "`helpers.py`",
    ),
    "file with a generated name": (
        {"spec.model.files": [{"path": "train_loop.py", "text": "x"}]},
        "spec.model.files[0].path",
        "generated file",
        "rename it",
    ),
    "file the model file": (
        {"spec.model.files": [{"path": "model_def.py", "text": "x"}]},
        "spec.model.files[0].path",
        "generated file",
        "spec.model.source",
    ),
    "file at the root": (
        {"spec.model.files": [{"path": ".", "text": "x"}]},
        "spec.model.files[0].path",
        "is a folder",
        "`helpers.py`",
    ),
    "object at the root": (
        {"spec.model.files": [{"path": ".", "uri": "s3://bucket/a.json"}]},
        "spec.model.files[0].path",
        "is a folder",
        "`helpers.py`",
    ),
    "file path twice": (
        {"spec.model.files": [{"path": "a.py", "text": "x"}, {"path": "a.py", "text": "z"}]},
        "spec.model.files[1].path",
        "already",
        "another name",
    ),
    "file by http": (
        {"spec.model.files": [{"path": "a.py", "uri": "https://x/a.py"}]},
        "spec.model.files[0].uri",
        "S3 object, prefix or archive",
        "s3://bucket/code/",
    ),
    "file key missing": (
        {"spec.model.files": [{"path": "a.py", "configMapKeyRef": {"name": "m"}}]},
        "spec.model.files[0].configMapKeyRef.key",
        "missing",
        "add `key: ",
    ),
    "texts too long together": (
        {"spec.model.files": [{"path": f"{n}.txt", "text": "x" * 65537} for n in range(2)]},
        "spec.model.files",
        "131074 characters",
        "configMapKeyRef",
    ),
    "wheel elsewhere": (
        {"spec.model.requirements": ["/tmp/x.whl"]},
        "spec.model.requirements[0]",
        "as pip names it",
        "scikit-learn",
    ),
    "hash of another kind": (
        {"spec.model.requirements": ["numpy==2.0 --hash=md5:abc"]},
        "spec.model.requirements[0]",
        "without options",
        "scikit-learn",
    ),
    "class a keyword": (
        {"spec.model.className": "class"},
        "spec.model.className",
        "keyword",
        "Net",
    ),
    "function a keyword": (
        {"spec.model.trainFunction": "def"},
        "spec.model.trainFunction",
        "keyword",
        "fl_train_model",
    ),
    "source missing": (
        {"spec.model.source": ABSENT},
        "spec.model.source",
        "missing",
        "{uri: s3://",
    ),
    "source empty": ({"spec.model.source": {}}, "spec.model.source", "no file", "`inline: |`"),
    "source twice": (
        {"spec.model.source.inline": "x"},
        "spec.model.source",
        "gives inline and uri",
        "keep one of inline, uri",
    ),
    "source by http": (
        {"spec.model.source.uri": "https://x/y"},
        "spec.model.source.uri",
        "URI of an S3 object",
        "`s3://bucket/path/file`",
    ),
    "source a prefix": (
        {"spec.model.source.uri": "s3://bucket/"},
        "spec.model.source.uri",
        "S3",
        "s3",
    ),
    "config map without name": (
        {"spec.model.source": {"configMapRef": {}}},
        "spec.model.source.configMapRef.name",
        "missing",
        "add `name: my-name`",
    ),
    "config map key with path": (
        {"spec.model.source": {"configMapRef": {"name": "m", "key": "../x"}}},
        "spec.model.source.configMapRef.key",
        "file name",
        "`model_def.py`",
    ),
    "inline too long": (
        {"spec.model.source": {"inline": "x" * 262145}},
        "spec.model.source.inline",
        "262145 characters",
        "at most 262144",
    ),
    "args a list": ({"spec.model.args": [1]}, "spec.model.args", "a list of 1", "args: {}"),
    "args no keyword": ({"spec.model.args": {"a-b": 1}}, "spec.model.args", "`a-b`", "hidden_size"),
    "args too many": (
        {"spec.model.args": {f"a{i}": i for i in range(65)}},
        "spec.model.args",
        "65 entries",
        "at most 64",
    ),
    "args too deep": (
        {"spec.model.args.a": [[[[[[[[[1]]]]]]]]]},
        "spec.model.args",
        "more than 8 deep",
        "flat",
    ),
    "args empty name": ({"spec.model.args.a": {"": 1}}, "spec.model.args", "overlong", "1 to 128"),
    "args long list": (
        {"spec.model.args.a": [0] * 4097},
        "spec.model.args",
        "more than 4096",
        "in a file of the shard",
    ),
    "args long text": (
        {"spec.model.args.a": "x" * 8193},
        "spec.model.args",
        "more than 8192",
        "in model_def.py",
    ),
    "checkpoint a path": (
        {"spec.model.checkpoint": "best.pt"},
        "spec.model.checkpoint",
        "S3 object",
        "s3://",
    ),
    "requirement an option": (
        {"spec.model.requirements": ["-r more.txt"]},
        "spec.model.requirements[0]",
        "without options",
        "`scikit-learn>=1.5,<2`",
    ),
    "requirement with an index": (
        {"spec.model.requirements": ["numpy", "x --index-url https://y"]},
        "spec.model.requirements[1]",
        "without options",
        "scikit-learn",
    ),
    "requirement with newline": (
        {"spec.model.requirements": ["numpy\n--pre"]},
        "spec.model.requirements[0]",
        "line breaks",
        "scikit-learn",
    ),
    "requirement twice": (
        {"spec.model.requirements": ["numpy", "numpy"]},
        "spec.model.requirements[1]",
        "already",
        "remove it",
    ),
    "requirements text": (
        {"spec.model.requirements": "numpy"},
        "spec.model.requirements",
        "must be a list",
        "`requirements: [scikit-learn>=1.5,<2]`",
    ),
    "requirements with append": (
        {"spec.model.requirements": ["numpy"], "spec.image.builder": "append"},
        "spec.image.builder",
        "cannot install",
        "write `builder: docker`",
    ),
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


ACCEPTED: dict[str, dict[str, Any]] = {
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


def _placed(section: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is accepted and what is refused of `server` and `workers` alike."""
    accepted: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    at = f"spec.{section}"
    for name, low, high in (
        ("cpu", "1500m", 2),
        ("memory", "1500M", "2Gi"),
        ("ephemeral-storage", 1000, "1Ki"),
    ):
        equal = {"requests": {name: high}, "limits": {name: high}}
        below = {"requests": {name: low}, "limits": {name: high}}
        above = {"requests": {name: high}, "limits": {name: low}}
        accepted[f"{section} {name} at its limit"] = {f"{at}.resources": equal}
        accepted[f"{section} {name} below its limit"] = {f"{at}.resources": below}
        refused[f"{section} {name} above its limit"] = (
            {f"{at}.resources": above},
            f"{at}.resources.requests.{name}",
            f"is above limits.{name}",
            "raise the limit",
        )
    for name, toleration, field, problem, fix in (
        ("without a key", {"value": "a"}, "key", "missing", "operator: Exists"),
        (
            "with a value",
            {"operator": "Exists", "value": "a"},
            "value",
            "compares no value",
            "remove value",
        ),
        (
            "that ends",
            {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1},
            "tolerationSeconds",
            "NoSchedule",
            "NoExecute",
        ),
    ):
        refused[f"{section} toleration {name}"] = (
            {f"{at}.tolerations": [toleration]},
            f"{at}.tolerations[0].{field}",
            problem,
            fix,
        )
    return accepted, refused


for _section in ("server", "workers"):
    _accepted, _refused = _placed(_section)
    ACCEPTED |= _accepted
    REFUSED |= _refused

_FREE = "the schema cannot look into free arguments; the operator does, and refuses the job"
API_ACCEPTS: dict[str, str] = {
    "args no keyword": _FREE,
    "args too deep": _FREE,
    "args empty name": _FREE,
    "args long list": _FREE,
    "args long text": _FREE,
    "extra of our own": _FREE,
    "extra contradicts a field": _FREE,
    "extra sets a field to what it cannot be": _FREE,
    "component args": _FREE,
}
"""Of REFUSED, what the API server accepts, and why."""

API_MENDS: dict[str, str] = {
    "batch a float": "JSON knows one kind of number: 8.0 is stored, and comes back, as 8",
}
"""Of REFUSED, what is right once the API server has stored it, and why."""

_META = "the API server decodes metadata itself, before the schema"
_JSON = "JSON has no such number: what kubectl or a client sends is not JSON"
API_WORDS: dict[str, tuple[str, str]] = {
    "api version missing": ("the API version in the data () does not match", _META),
    "api version old": ('FederatedJob in version "v1" cannot be handled', _META),
    "kind missing": ("Object 'Kind' is missing", _META),
    "metadata missing": (
        "metadata.name: Required value",
        "it continues with what is missing in it",
    ),
    "metadata a list": ("cannot unmarshal array into Go value of type v1.ObjectMeta", _META),
    "name a number": ("cannot unmarshal number into Go struct field ObjectMeta.name", _META),
    "label a number": ("cannot unmarshal number into Go struct field ObjectMeta.labels", _META),
    "namespace bad": ("the namespace of the provided object does not match", _META),
    "rate infinite": ("json parse error: invalid character 'I'", _JSON),
    "extra not finite": ("json parse error: invalid character 'N'", _JSON),
}
"""Of REFUSED, where the API server does not name our field: its message, and why."""

API_REFUSES: dict[str, tuple[str, str]] = {
    "namespace": (
        "the namespace of the provided object does not match",
        "the tests send every job to a namespace of their own",
    ),
    "with status": (
        'unknown field "status.anything"',
        "the operator writes the status: fedjob does not read it, the API server checks it",
    ),
}
"""Of ACCEPTED, what the API server refuses: its message, and why."""
