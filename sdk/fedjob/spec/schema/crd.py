"""The CustomResourceDefinition, made from the models and the rules.

`python -m fedjob.spec.schema.crd` prints it; `crds/federatedjobs.fedjob.dev.yaml` is that output.
"""

from __future__ import annotations

from typing import Any

from fedjob.spec.models.fields import JOB_NAME
from fedjob.spec.models.job import GROUP, KIND, MAX_NAME, PLURAL, VERSION, FederatedJobSpec
from fedjob.spec.models.status import FederatedJobStatus
from fedjob.spec.structural import Schema, structural_schema
from fedjob.spec.validation.rules import RULES
from fedjob.spec.yaml import dump_yaml

NAME = f"{PLURAL}.{GROUP}"
_HEADER = "# Made from sdk/fedjob/spec by `python -m fedjob.spec.schema.crd`; do not edit.\n"
_COLUMNS = (
    ("State", ".status.state", "Summary of the conditions.", 0),
    ("Round", ".status.rounds.display", "Committed rounds of all.", 0),
    ("Clients", ".status.clients.display", "Connected workers of all.", 0),
    ("Metric", ".status.metric", "Of the last committed round.", 0),
    ("Image", ".status.image.reference", "The image that the pods run.", 1),
    ("Result", ".status.result.uri", "The final model.", 1),
)


def custom_resource_definition() -> dict[str, Any]:
    """The CRD as plain data, as `kubectl apply` takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["fj"],
                "categories": ["fedjob"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": job_schema()},
                }
            ],
        },
    }


def job_schema() -> Schema:
    """The structural schema of a whole FederatedJob, with its CEL rules."""
    spec = structural_schema(FederatedJobSpec)
    root: Schema = {
        "type": "object",
        "description": "One federated training run.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": MAX_NAME, "pattern": JOB_NAME}
                },
            },
            "spec": spec,
            "status": structural_schema(FederatedJobStatus, defaults=False),
        },
    }
    for rule in RULES:
        _node(root, rule.at).setdefault("x-kubernetes-validations", []).append(rule.as_cel())
    _drop_examples(root)
    return root


def _columns() -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = []
    for name, path, description, priority in _COLUMNS:
        column = {"name": name, "type": "string", "jsonPath": path, "description": description}
        columns.append({**column, "priority": priority} if priority else column)
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    columns.insert(4, age)
    return columns


def _node(root: Schema, path: str) -> Schema:
    """The schema node at a dotted path, `[]` for the items of a list."""
    node = root
    for part in path.replace("[]", ".[]").split("."):
        node = node["items"] if part == "[]" else node["properties"][part]
    return node


def _drop_examples(node: Schema) -> None:
    node.pop("examples", None)
    for child in (
        *node.get("properties", {}).values(),
        node.get("items"),
        node.get("additionalProperties"),
    ):
        if isinstance(child, dict):
            _drop_examples(child)


def crd_yaml() -> str:
    """The CRD as YAML: `crds/federatedjobs.fedjob.dev.yaml`, byte for byte."""
    return _HEADER + dump_yaml(custom_resource_definition())


if __name__ == "__main__":
    print(crd_yaml(), end="")
