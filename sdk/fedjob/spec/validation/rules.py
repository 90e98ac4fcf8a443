"""The rules that one field alone cannot state: each once, as a Python check and as its CEL twin.

The API server runs the CEL rule, fedjob the check; the tests hold both to the same cases. A rule
without a check is for the API server alone: it compares with the stored object, or makes up for a
bound that means less there than in pydantic. A rule over values that have a default stands at
`spec`, where they are always there: the API server tries a section's own rules on its bare
`default: {}` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fedjob.errors import Fault
from fedjob.spec.models.model import MAX_TEXT
from fedjob.spec.validation import checks
from fedjob.spec.validation.reader import Reader, UnreadableError

Check = Callable[[Reader], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule over several fields.

    Attributes:
        at: The schema node that holds the CEL rule, such as `spec.server.tolerations[]`.
        cel: Over `self`, the value at that node; true accepts.
        message: What `kubectl apply` prints when it is false; ends with what to write.
        field: The field to blame, from that node; empty for the node itself.
        check: The same in Python; None for a rule of the API server alone.
    """

    at: str
    cel: str
    message: str
    field: str = ""
    check: Check | None = None

    def as_cel(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        return {**entry, "fieldPath": self.field} if self.field else entry


def _unchanged(section: str) -> Rule:
    return Rule(
        "spec",
        f"self.{section} == oldSelf.{section}",
        f"{section} cannot change: it would be another job; create one under another name",
        f".{section}",
    )


def _tolerations(section: str) -> list[Rule]:
    at = f"spec.{section}.tolerations[]"
    return [
        Rule(
            at,
            "self.operator == 'Exists' ? !has(self.value) : has(self.key)",
            "operator Exists takes no value; operator Equal needs a key",
            check=checks.tolerations_compare(section),
        ),
        Rule(
            at,
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs effect: NoExecute",
            check=checks.tolerations_end(section),
        ),
    ]


def _resources(section: str) -> list[Rule]:
    return [
        Rule(
            f"spec.{section}.resources",
            f"!has(self.requests) || !has(self.limits) || !has(self.requests.{name}) || "
            f"!has(self.limits.{name}) || quantity(string(self.requests.{name}))"
            f".compareTo(quantity(string(self.limits.{name}))) <= 0",
            f"requests.{plain} is above limits.{plain}; lower it, or raise the limit",
            check=checks.requests_within_limits(section, plain),
        )
        for name, plain in (
            ("cpu", "cpu"),
            ("memory", "memory"),
            ("ephemeral__dash__storage", "ephemeral-storage"),
        )
    ]


RULES: tuple[Rule, ...] = (
    Rule(
        "spec.model.source",
        "[has(self.inline), has(self.configMapRef), has(self.uri), has(self.upload)]"
        ".exists_one(x, x)",
        "give exactly one of inline, configMapRef, uri and upload",
        check=checks.one_source,
    ),
    Rule(
        "spec.model",
        "!has(self.className) || "
        f"!self.className.matches('(^|[.])({'|'.join(checks.KEYWORDS)})([.]|$)')",
        "className is a keyword of Python; write the name of the class in model_def.py",
        ".className",
        checks.class_name_no_keyword,
    ),
    Rule(
        "spec.model",
        f"!has(self.trainFunction) || !(self.trainFunction in {list(checks.KEYWORDS)})",
        "trainFunction is a keyword of Python; write the name of a function in model_def.py",
        ".trainFunction",
        checks.train_function_no_keyword,
    ),
    Rule(
        "spec.model.files[]",
        "[has(self.text), has(self.configMapKeyRef), has(self.uri)].exists_one(x, x)",
        "give exactly one of text, configMapKeyRef and uri",
        check=checks.one_content,
    ),
    Rule(
        "spec.model.files[]",
        f"!(self.path in {list(checks.GENERATED_FILES)})",
        "path is the name of a generated file; write another name",
        ".path",
        checks.file_name_is_free,
    ),
    Rule(
        "spec.model.files[]",
        "self.path != '.' || (has(self.uri) && self.uri.matches('(/|[.]zip|[.]tar[.]gz|[.]tgz)$'))",
        "path . is a folder, for a prefix or an archive; write the file's own name",
        ".path",
        checks.root_is_a_folder,
    ),
    Rule(
        "spec.model.upload.files[]",
        f"self.path != '.' && !(self.path in {list(checks.GENERATED_FILES)})",
        "path is a folder or the name of a generated file; write the file's own name",
        ".path",
        checks.uploaded_file_name_is_free,
    ),
    Rule(
        "spec.model",
        "!has(self.checkpoint) || !has(self.upload) || !has(self.upload.checkpoint)",
        "give one of checkpoint and upload.checkpoint",
        ".checkpoint",
        checks.one_checkpoint,
    ),
    Rule(
        "spec.model",
        "!has(self.files) || "
        f"self.files.map(f, has(f.text) ? size(f.text) : 0).sum() <= {MAX_TEXT}",
        f"files hold more than {MAX_TEXT} characters of text; use configMapKeyRef or uri",
        ".files",
        checks.texts_are_small,
    ),
    Rule(
        "spec",
        "!has(self.model.requirements) || size(self.model.requirements) == 0 || "
        "!has(self.image.builder) || self.image.builder != 'append'",
        "model.requirements cannot be installed by builder append; write builder: docker",
        ".image.builder",
        checks.requirements_need_docker,
    ),
    Rule(
        "spec.shards",
        "[has(self.uri), has(self.items), has(self.upload)].filter(x, x).size() <= 1",
        "give one of uri, items and upload",
        check=checks.one_kind_of_shards,
    ),
    Rule(
        "spec.shards",
        "!has(self.validation) || !has(self.items) || "
        "self.items.exists(item, item.name == self.validation)",
        "validation is none of the items; add it there: no worker gets it",
        ".validation",
        checks.validation_is_an_item,
    ),
    Rule(
        "spec.shards",
        "!has(self.validation) || !has(self.upload) || "
        "self.upload.files.exists(file, file.name == self.validation)",
        "validation is none of upload.files; add it there: no worker gets it",
        ".validation",
        checks.validation_is_uploaded,
    ),
    Rule(
        "spec",
        "!has(self.shards.items) || self.federation.minClients <= "
        "size(self.shards.items) - (has(self.shards.validation) ? 1 : 0)",
        "minClients is above the number of workers: one for each of shards.items except validation",
        ".federation.minClients",
        checks.enough_shards,
    ),
    Rule(
        "spec",
        "!has(self.shards.upload) || self.federation.minClients <= "
        "size(self.shards.upload.files) - (has(self.shards.validation) ? 1 : 0)",
        "minClients is above the number of workers: one for each of shards.upload.files except "
        "validation",
        ".federation.minClients",
        checks.enough_uploads,
    ),
    *(
        Rule(
            "spec.federation.strategy",
            f"!has(self.args) || !has(self.args.{argument}) || self.name in {names}",
            f"args.{argument} is an argument of {', '.join(names)} only; remove it",
            f".args.{argument}",
            checks.argument_of_strategy(argument, names),
        )
        for argument, names in checks.ARGUMENT_OWNERS.items()
    ),
    Rule(
        "spec",
        "!has(self.federation.strategy) || self.federation.strategy.name != 'Krum' || "
        "self.federation.minClients >= 3 + 2 * (has(self.federation.strategy.args) && "
        "has(self.federation.strategy.args.byzantine) ? "
        "self.federation.strategy.args.byzantine : 1)",
        "Krum needs minClients of at least 2 byzantine + 3; raise minClients or lower byzantine",
        ".federation.minClients",
        checks.krum_has_enough_clients,
    ),
    Rule(
        "spec",
        "!has(self.federation.strategy) || self.federation.strategy.name == 'FedAvg' || "
        "!has(self.components) || !has(self.components.aggregator)",
        "components.aggregator takes the strategy's place; remove one of the two",
        ".components.aggregator",
        checks.strategy_or_aggregator,
    ),
    Rule(
        "spec.federation.stopWhen",
        "has(self.atLeast) || has(self.atMost) || has(self.patience)",
        "stopWhen says not when; add atLeast, atMost or patience",
        "",
        checks.stop_has_a_condition,
    ),
    Rule(
        "spec.federation.stopWhen",
        "!has(self.atLeast) || !has(self.atMost)",
        "atLeast and atMost ask for opposite directions; remove one of the two",
        ".atMost",
        checks.one_threshold,
    ),
    Rule(
        "spec.federation.stopWhen",
        "has(self.mode) || has(self.atLeast) || has(self.atMost)",
        "patience needs mode: max where larger is better (accuracy), min where smaller is (loss)",
        ".mode",
        checks.patience_has_a_mode,
    ),
    Rule(
        "spec.federation.stopWhen",
        "!has(self.mode) || (self.mode == 'max' ? !has(self.atMost) : !has(self.atLeast))",
        "atLeast goes with mode: max, atMost with mode: min; remove mode",
        ".mode",
        checks.mode_of_the_threshold,
    ),
    Rule(
        "spec.federation",
        "!has(self.stopWhen) || !has(self.bestModel)",
        "stopWhen keeps the best round by its metric; remove bestModel",
        ".bestModel",
        checks.one_ranking,
    ),
    Rule(
        "spec",
        "self.workers.gpu > 0 || self.workers.gpuFallback == 'cpu'",
        "gpuFallback wait needs gpu above 0; write gpuFallback: cpu, or the number of GPUs",
        ".workers.gpuFallback",
        checks.gpu_to_wait_for,
    ),
    *_tolerations("server"),
    *_tolerations("workers"),
    *_resources("server"),
    *_resources("workers"),
    Rule(
        "spec.storage",
        "!has(self.endpoint) || has(self.secretRef)",
        "endpoint needs secretRef: the operator's own credentials are not sent elsewhere",
        ".secretRef",
        checks.endpoint_has_secret,
    ),
    Rule(
        "spec",
        "!has(self.runPolicy.activeDeadlineSeconds) || !has(self.federation.roundTimeout) || "
        "self.federation.roundTimeout <= self.runPolicy.activeDeadlineSeconds",
        "activeDeadlineSeconds is below federation.roundTimeout; raise it to that at least",
        ".runPolicy.activeDeadlineSeconds",
        checks.deadline_after_a_round,
    ),
    # The API server rounds a bound down for a value without a fraction: `0` would pass 1e-09.
    Rule(
        "spec",
        "self.training.learningRate > 0.0",
        "learningRate must be above 0, such as 0.001",
        ".training.learningRate",
    ),
    Rule(
        "spec.federation.strategy",
        "!has(self.args) || !has(self.args.tau) || self.args.tau > 0.0",
        "tau must be above 0, such as 0.001",
        ".args.tau",
    ),
    *(_unchanged(name) for name in ("model", "shards", "training", "components", "storage")),
    Rule(
        "spec",
        "self.federation.jobName == oldSelf.federation.jobName",
        "jobName cannot change: it would be another job; create one under another name",
        ".federation.jobName",
    ),
    Rule(
        "spec",
        "has(self.federation.strategy) == has(oldSelf.federation.strategy) && "
        "(!has(self.federation.strategy) || "
        "self.federation.strategy == oldSelf.federation.strategy)",
        "strategy cannot change: its state belongs to it; create a job under another name",
        ".federation.strategy",
    ),
    Rule(
        "spec",
        "self.federation.numRounds >= oldSelf.federation.numRounds",
        "numRounds can be raised, not lowered: those rounds may have run; create another job",
        ".federation.numRounds",
    ),
)
"""Every rule, in the order of their fields."""


def broken_rules(job: Reader) -> list[Fault]:
    """The faults of every rule that can be tried on `job`."""
    faults: list[Fault] = []
    for rule in RULES:
        if rule.check is None:
            continue
        try:
            faults.extend(rule.check(job))
        except UnreadableError:
            continue
    return faults
