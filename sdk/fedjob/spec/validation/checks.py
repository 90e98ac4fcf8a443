"""The rules in Python: each yields a fault with the given value, the reason and the fix."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator

from pydantic.alias_generators import to_camel

from fedjob.errors import Fault
from fedjob.spec.models.federation import FederationConfig
from fedjob.spec.models.model import ARCHIVE_SUFFIXES, MAX_TEXT
from fedjob.spec.models.placement import amount
from fedjob.spec.models.strategy import ARGUMENTS
from fedjob.spec.models.workers import WorkersSpec
from fedjob.spec.validation.reader import Reader
from fedjob.spec.yaml import Path

KEYWORDS = tuple(keyword.kwlist)
"""Keywords of Python, which cannot name a class or function."""

GENERATED_FILES = ("model_def.py", "fedjob_executor.py", "fedjob_persistor.py", "train_loop.py")
"""What fedjob itself writes beside the model file."""

ARGUMENT_OWNERS = {
    to_camel(name): [strategy for strategy, taken in ARGUMENTS.items() if name in taken]
    for name in dict.fromkeys(name for taken in ARGUMENTS.values() for name in taken)
}
"""The strategies that take each argument."""

_CONTENTS = ("text", "configMapKeyRef", "uri")
_FILES: Path = ("spec", "model", "files")
_SOURCES = ("inline", "configMapRef", "uri", "upload")
_MODEL_UPLOADS: Path = ("spec", "model", "upload", "files")
_SHARDS = ("uri", "items", "upload")
_ITEMS: Path = ("spec", "shards", "items")
_UPLOADS: Path = ("spec", "shards", "upload", "files")
_VALIDATION: Path = ("spec", "shards", "validation")


def one_source(job: Reader) -> Iterator[Fault]:
    """Exactly one of `spec.model.source.*`."""
    at: Path = ("spec", "model", "source")
    given = [name for name in _SOURCES if job.has((*at, name))]
    if not given:
        yield Fault(
            "spec.model.source",
            "names no file",
            "write one of `inline: |` and the text of model_def.py, "
            "`configMapRef: {name: my-model}` or `uri: s3://bucket/model_def.py`",
        )
    elif len(given) > 1:
        yield Fault(
            "spec.model.source", f"gives {' and '.join(given)}", f"keep one of {', '.join(given)}"
        )


def class_name_no_keyword(job: Reader) -> Iterator[Fault]:
    """`spec.model.className` can be the name of a class."""
    yield from _no_keyword(job, "className", "the name of the class in model_def.py, such as `Net`")


def train_function_no_keyword(job: Reader) -> Iterator[Fault]:
    """`spec.model.trainFunction` can be the name of a function."""
    yield from _no_keyword(
        job, "trainFunction", "the name of a function in model_def.py, such as `fl_train_model`"
    )


def _no_keyword(job: Reader, name: str, instead: str) -> Iterator[Fault]:
    value = job.get(("spec", "model", name), str)
    found = [part for part in (value or "").split(".") if part in KEYWORDS]
    if found:
        problem = f"`{found[0]}` is a keyword of Python"
        yield Fault(f"spec.model.{name}", problem, f"write {instead}")


def one_content(job: Reader) -> Iterator[Fault]:
    """Exactly one of text, configMapKeyRef and uri in each of `spec.model.files`."""
    for at, field in _files(job):
        given = [name for name in _CONTENTS if job.has((*at, name))]
        if not given:
            fix = "write one of `text: |`, `configMapKeyRef: {name: n, key: k}` and `uri: s3://...`"
            yield Fault(field, "has no content", fix)
        elif len(given) > 1:
            yield Fault(field, f"gives {' and '.join(given)}", f"keep one of {', '.join(given)}")


def file_name_is_free(job: Reader) -> Iterator[Fault]:
    """Fedjob writes some files of its own beside the model file."""
    for at, field in _files(job):
        path = job.get((*at, "path"), str)
        if path in GENERATED_FILES:
            fix = "rename it; the model file itself comes from spec.model.source"
            yield Fault(f"{field}.path", f"`{path}` is the name of a generated file", fix)


def uploaded_file_name_is_free(job: Reader) -> Iterator[Fault]:
    """An uploaded file has a name of its own beside the model file."""
    for i in range(job.size(_MODEL_UPLOADS)):
        path = job.get((*_MODEL_UPLOADS, i, "path"), str)
        if path == "." or path in GENERATED_FILES:
            what = "a folder" if path == "." else "the name of a generated file"
            fix = "write the file's own name, such as `vocabulary.bin`"
            yield Fault(f"spec.model.upload.files[{i}].path", f"`{path}` is {what}", fix)


def one_checkpoint(job: Reader) -> Iterator[Fault]:
    """The initial weights are in S3 or are uploaded."""
    at: Path = ("spec", "model")
    if job.has((*at, "checkpoint")) and job.has((*at, "upload", "checkpoint")):
        yield Fault(
            "spec.model.checkpoint",
            "is given, and upload.checkpoint too",
            "keep checkpoint for a file in S3, or upload.checkpoint for one that a client sends",
        )


def root_is_a_folder(job: Reader) -> Iterator[Fault]:
    """`.` is where a prefix or an archive may go; a single file needs a name."""
    for at, field in _files(job):
        uri = job.get((*at, "uri"), str) or ""
        if job.get((*at, "path"), str) == "." and not uri.endswith(("/", *ARCHIVE_SUFFIXES)):
            fix = "write the file's own name, such as `helpers.py`"
            yield Fault(f"{field}.path", "`.` is a folder, and the content is one file", fix)


def texts_are_small(job: Reader) -> Iterator[Fault]:
    """All inline texts together stay within what etcd takes."""
    total = sum(len(job.get((*at, "text"), str) or "") for at, _ in _files(job))
    if total > MAX_TEXT:
        yield Fault(
            "spec.model.files",
            f"hold {total} characters of text, but together may hold {MAX_TEXT}",
            "put large files into a ConfigMap (configMapKeyRef) or S3 (uri)",
        )


def _files(job: Reader) -> Iterator[tuple[Path, str]]:
    for i in range(job.size(_FILES)):
        yield (*_FILES, i), f"spec.model.files[{i}]"


def requirements_need_docker(job: Reader) -> Iterator[Fault]:
    """The builder `append` installs nothing."""
    builder = job.get(("spec", "image", "builder"), str)
    if job.size(("spec", "model", "requirements")) and builder == "append":
        yield Fault(
            "spec.image.builder",
            "`append` adds one layer and cannot install model.requirements",
            "write `builder: docker`, or leave builder out",
        )


def one_kind_of_shards(job: Reader) -> Iterator[Fault]:
    """A prefix, a list or an upload."""
    given = [name for name in _SHARDS if job.has(("spec", "shards", name))]
    if len(given) > 1:
        yield Fault(
            "spec.shards",
            f"gives {' and '.join(given)}",
            "keep `uri` for every .zip under a prefix, `items` to name them one by one, "
            "or `upload` for files that a client sends",
        )


def validation_is_an_item(job: Reader) -> Iterator[Fault]:
    """Where shards are listed, the validation shard is one of them: its place must be known."""
    name = _missing_validation(job, _ITEMS)
    if name is not None:
        yield Fault(
            "spec.shards.validation",
            f"`{name}` is none of the items",
            f"add `{{name: {name}, uri: s3://...}}` to shards.items (no worker gets it), "
            "or write the name of one that is there",
        )


def validation_is_uploaded(job: Reader) -> Iterator[Fault]:
    """Where shards are uploaded, the validation shard is one of them."""
    name = _missing_validation(job, _UPLOADS)
    if name is not None:
        yield Fault(
            "spec.shards.validation",
            f"`{name}` is none of upload.files",
            f"put {name} into the folder that is uploaded and submit again, "
            "or write the name of one that is there",
        )


def _missing_validation(job: Reader, listed: Path) -> str | None:
    """The validation shard where a list of shards lacks it."""
    name = job.get(_VALIDATION, str)
    if name is None or not job.has(listed):
        return None
    names = [job.get((*listed, i, "name"), str) for i in range(job.size(listed))]
    return None if name in names else name


def enough_shards(job: Reader) -> Iterator[Fault]:
    """Each client has a shard of its own."""
    yield from _enough(job, _ITEMS, "shards.items")


def enough_uploads(job: Reader) -> Iterator[Fault]:
    """Each client has an uploaded shard of its own."""
    yield from _enough(job, _UPLOADS, "shards.upload.files")


def _enough(job: Reader, listed: Path, name: str) -> Iterator[Fault]:
    if not job.has(listed):
        return
    default = FederationConfig.model_fields["min_clients"].default
    wanted = job.get(("spec", "federation", "minClients"), int, default) or 0
    kept = 1 if job.has(_VALIDATION) else 0
    workers = job.size(listed) - kept
    if wanted > workers:
        yield Fault(
            "spec.federation.minClients",
            f"{wanted} clients must answer, but {name} gives {_count(workers, 'worker')}"
            + (" beside the validation shard" if kept else ""),
            f"write `minClients: {workers}`, or add shards" if workers > 0 else "add shards",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def gpu_to_wait_for(job: Reader) -> Iterator[Fault]:
    """`gpuFallback: wait` without GPUs would wait for nothing."""
    at: Path = ("spec", "workers")
    gpu = job.get((*at, "gpu"), int, WorkersSpec.model_fields["gpu"].default)
    if gpu == 0 and job.get((*at, "gpuFallback"), str) == "wait":
        yield Fault(
            "spec.workers.gpuFallback",
            "`wait` waits for GPUs, and gpu is 0",
            "write `gpuFallback: cpu`, or `gpu: 1`",
        )


def tolerations_compare(section: str) -> Callable[[Reader], Iterator[Fault]]:
    """`Exists` takes no value; `Equal` needs a key."""

    def check(job: Reader) -> Iterator[Fault]:
        for at, field in _tolerations(job, section):
            if job.get((*at, "operator"), str, "Equal") == "Exists":
                if job.has((*at, "value")):
                    yield Fault(
                        f"{field}.value",
                        "is given with `operator: Exists`, which compares no value",
                        "remove value, or write `operator: Equal`",
                    )
            elif not job.has((*at, "key")):
                yield Fault(
                    f"{field}.key",
                    "is missing, and `operator: Equal` compares its value",
                    "add `key: nvidia.com/gpu` or whatever the taint's key is, "
                    "or write `operator: Exists`",
                )

    return check


def tolerations_end(section: str) -> Callable[[Reader], Iterator[Fault]]:
    """Only `NoExecute` has an end."""

    def check(job: Reader) -> Iterator[Fault]:
        for at, field in _tolerations(job, section):
            effect = job.get((*at, "effect"), str)
            if job.has((*at, "tolerationSeconds")) and effect != "NoExecute":
                yield Fault(
                    f"{field}.tolerationSeconds",
                    f"is given with effect {effect or 'absent'}, which has no end",
                    "write `effect: NoExecute`, or remove tolerationSeconds",
                )

    return check


def _tolerations(job: Reader, section: str) -> Iterator[tuple[Path, str]]:
    at: Path = ("spec", section, "tolerations")
    for i in range(job.size(at)):
        yield (*at, i), f"spec.{section}.tolerations[{i}]"


def requests_within_limits(section: str, name: str) -> Callable[[Reader], Iterator[Fault]]:
    """Kubernetes refuses a pod that requests more than its limit."""

    def check(job: Reader) -> Iterator[Fault]:
        at: Path = ("spec", section, "resources")
        requested = _amount(job, (*at, "requests", name))
        limit = _amount(job, (*at, "limits", name))
        if requested is not None and limit is not None and amount(requested) > amount(limit):
            yield Fault(
                f"spec.{section}.resources.requests.{name}",
                f"{requested} is above limits.{name}, which is {limit}",
                f"write `{name}: {limit}` at most, or raise the limit",
            )

    return check


def _amount(job: Reader, path: Path) -> str | None:
    value = job.get(path, object)
    return None if value is None else str(value)


def endpoint_has_secret(job: Reader) -> Iterator[Fault]:
    """The operator's credentials go to the operator's endpoint only."""
    at: Path = ("spec", "storage")
    if job.has((*at, "endpoint")) and not job.has((*at, "secretRef")):
        yield Fault(
            "spec.storage.secretRef",
            "is missing, and the operator's own credentials are not sent to another endpoint",
            "add `secretRef: {name: my-store}`, a Secret with AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or remove endpoint",
        )


def deadline_after_a_round(job: Reader) -> Iterator[Fault]:
    """A deadline below the round's timeout would end the job in its first slow round."""
    deadline = job.get(("spec", "runPolicy", "activeDeadlineSeconds"), int)
    timeout = job.get(("spec", "federation", "roundTimeout"), int)
    if deadline is not None and timeout is not None and timeout > deadline:
        yield Fault(
            "spec.runPolicy.activeDeadlineSeconds",
            f"{deadline} is below federation.roundTimeout, which is {timeout}",
            f"write `activeDeadlineSeconds: {timeout}` or more, or lower roundTimeout",
        )


def argument_of_strategy(argument: str, owners: list[str]) -> Callable[[Reader], Iterator[Fault]]:
    """An argument belongs to the strategies that take it."""
    at: Path = ("spec", "federation", "strategy")

    def check(job: Reader) -> Iterator[Fault]:
        if not job.has((*at, "args", argument)):
            return
        name = job.get((*at, "name"), str) or "FedAvg"
        if name not in owners:
            yield Fault(
                f"spec.federation.strategy.args.{argument}",
                f"does not belong to {name}, but to {', '.join(owners)}",
                "remove it, or write the name of that strategy",
            )

    return check


def krum_has_enough_clients(job: Reader) -> Iterator[Fault]:
    """Krum compares with neighbours: n must be at least 2 f + 3."""
    at: Path = ("spec", "federation", "strategy")
    if job.get((*at, "name"), str) != "Krum":
        return
    bad = job.get((*at, "args", "byzantine"), int)
    needed = 3 + 2 * (ARGUMENTS["Krum"]["byzantine"] if bad is None else bad)
    default = FederationConfig.model_fields["min_clients"].default
    given = job.get(("spec", "federation", "minClients"), int, default) or 0
    if given < needed:
        yield Fault(
            "spec.federation.minClients",
            f"{given} is too few for Krum, which needs {needed:g} answers (2 byzantine + 3)",
            f"write `minClients: {needed:g}`, or a lower strategy.args.byzantine",
        )


def strategy_or_aggregator(job: Reader) -> Iterator[Fault]:
    """An own aggregator does what a strategy does."""
    name = job.get(("spec", "federation", "strategy", "name"), str) or "FedAvg"
    if name != "FedAvg" and job.has(("spec", "components", "aggregator")):
        yield Fault(
            "spec.components.aggregator",
            f"takes the place of federation.strategy {name}",
            "remove one of the two",
        )


_STOP: Path = ("spec", "federation", "stopWhen")


def stop_has_a_condition(job: Reader) -> Iterator[Fault]:
    """`stopWhen` without a condition would never be met."""
    if not job.has(_STOP):
        return
    if not any(job.has((*_STOP, name)) for name in ("atLeast", "atMost", "patience")):
        yield Fault(
            "spec.federation.stopWhen",
            "has no condition",
            "add `atLeast: 0.9`, `atMost: 0.1` or `patience: 3`; to keep the best round only, "
            "write bestModel instead",
        )


def one_threshold(job: Reader) -> Iterator[Fault]:
    """A metric is better upwards or downwards, not both."""
    if job.has((*_STOP, "atLeast")) and job.has((*_STOP, "atMost")):
        yield Fault(
            "spec.federation.stopWhen.atMost",
            "asks for the opposite direction of atLeast",
            "remove one of the two",
        )


def patience_has_a_mode(job: Reader) -> Iterator[Fault]:
    """Without a threshold, nothing else tells the direction of the metric."""
    threshold = job.has((*_STOP, "atLeast")) or job.has((*_STOP, "atMost"))
    if job.has((*_STOP, "patience")) and not threshold and not job.has((*_STOP, "mode")):
        yield Fault(
            "spec.federation.stopWhen.mode",
            "is missing: patience counts rounds without improvement",
            "write `mode: max` where larger is better (accuracy), `mode: min` where smaller is "
            "(loss)",
        )


def mode_of_the_threshold(job: Reader) -> Iterator[Fault]:
    """`atLeast` means max and `atMost` means min."""
    mode = job.get((*_STOP, "mode"), str)
    for name, fitting in (("atLeast", "max"), ("atMost", "min")):
        if mode is not None and mode != fitting and job.has((*_STOP, name)):
            yield Fault(
                "spec.federation.stopWhen.mode",
                f"`{mode}` contradicts {name}",
                f"remove mode, or write `mode: {fitting}`",
            )


def one_ranking(job: Reader) -> Iterator[Fault]:
    """There is one best round."""
    if job.has(_STOP) and job.has(("spec", "federation", "bestModel")):
        yield Fault(
            "spec.federation.bestModel",
            "is given beside stopWhen, which keeps the best round by its own metric",
            "remove one of the two",
        )
