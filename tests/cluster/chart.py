"""Renders the chart with Helm, for tests."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.repository import ROOT

CHART = ROOT / "charts" / "fedjob"
NAMESPACE = "fedjob-system"
REGISTRY: dict[str, Any] = {"imageRegistry": "registry.test/mirror"}
# A helm built by `go install` has no Kubernetes version and assumes 1.20.
KUBERNETES = "1.33.0"

ADMISSION_POLICIES = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
"""An API of every supported cluster that `helm template` does not assume."""

Object = dict[str, Any]


def find_helm() -> str:
    """The path of helm; without helm it skips the test, and fails it in CI."""
    places = [os.environ.get("PATH", ""), str(Path.home() / "go/bin")]
    if "GOPATH" in os.environ:
        places.append(f"{os.environ['GOPATH']}/bin")
    found = shutil.which("helm", path=os.pathsep.join(places))
    if found is not None:
        return found
    missing = "helm is not installed: install it, or run `make cluster`, which does"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> tuple[int, str, str]:
    """Runs helm with the values on stdin; returns exit code, stdout and stderr."""
    given = ["-f", "-"] if values is not None else []
    done = subprocess.run(
        [find_helm(), *arguments, *given],
        capture_output=True,
        text=True,
        input=json.dumps(values) if values is not None else None,
    )
    return done.returncode, done.stdout, done.stderr


def render(values: Mapping[str, Any] | None = None, *, chart: Path = CHART) -> list[Object]:
    """The objects of a release `fedjob` in fedjob-system, with an imageRegistry."""
    return json.loads(_render(json.dumps({**REGISTRY, **(values or {})}), str(chart)))  # type: ignore[no-any-return]


@functools.cache
def _render(values: str, chart: str) -> str:
    code, output, errors = helm(
        *("template", "fedjob", chart, "-n", NAMESPACE, "--kube-version", KUBERNETES),
        *("--api-versions", ADMISSION_POLICIES),
        values=json.loads(values),
    )
    if code:
        pytest.fail(errors)
    # With the C loader: the Python loader takes longer for the CRD than Helm does for everything.
    return json.dumps([found for found in yaml.load_all(output, yaml.CSafeLoader) if found])


def refusal(values: Mapping[str, Any]) -> str:
    """Helm's error message for values that it must refuse."""
    code, _, errors = helm(
        *("template", "fedjob", str(CHART), "--kube-version", KUBERNETES), values=values
    )
    assert code, f"{values} was accepted"
    return errors


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [found for found in objects if found["kind"] in kinds]


def only(objects: list[Object], kind: str, name: str) -> Object:
    """The only object of this kind and name."""
    [found] = [o for o in of_kind(objects, kind) if o["metadata"]["name"] == name]
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The pods of the objects: owner's name and PodSpec."""
    for found in of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job"):
        yield found["metadata"]["name"], found["spec"]["template"]["spec"]
    for found in of_kind(objects, "CronJob"):
        yield found["metadata"]["name"], found["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def environment(container: Object) -> dict[str, str]:
    """A container's environment variables that have a literal value."""
    return {e["name"]: e["value"] for e in container["env"] if "value" in e}


ALL = {
    "store": {"enabled": True},
    "registry": {"enabled": True},
    "prune": {"enabled": True},
    "operator": {
        "serviceMonitor": {"enabled": True},
        "podDisruptionBudget": {"enabled": True},
    },
}
"""Values that enable every component."""
