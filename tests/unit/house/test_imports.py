"""Packages import in one direction only, and every contract that demands it can fail."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import grimp
import pytest
from importlinter import configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

from support.repository import ROOT

configuration.configure()
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
    "importlinter"
]
CONTRACTS: dict[str, dict[str, Any]] = {c["name"]: c for c in SETTINGS["contracts"]}
KINDS = {"layers": LayersContract, "forbidden": ForbiddenContract}

ARROWS = (
    ("fedjob_operator.state.record", "fedjob_operator.kube.client"),
    ("fedjob_operator.kube.client", "fedjob_operator.planning.plan"),
    ("fedjob_operator.resources.pods", "fedjob_operator.planning.plan"),
    ("fedjob_operator.planning.plan", "fedjob_operator.stages.runner"),
    ("fedjob_operator.stages.runner", "fedjob_operator.controller.reconciler"),
    ("fedjob_operator.controller.reconciler", "fedjob_operator.main"),
    ("fedjob_operator.planning.plan", "fedjob_operator.kube.client"),
    ("fedjob_operator.planning.plan", "boto3"),
    ("fedjob_operator.planning.plan", "kubernetes"),
    ("fedjob_operator.planning.plan", "time"),
    ("fedjob_runtime.server.supervisor.supervisor", "torch"),
    ("fedjob_runtime.server.job_process.controller", "boto3"),
    ("fedjob_runtime.server.job_process.controller", "fedjob.storage.bucket"),
    ("fedjob_runtime.worker.executor", "boto3"),
    ("fedjob_runtime.worker.executor", "fedjob.storage.bucket"),
    ("fedjob.spec.models.job", "boto3"),
    ("fedjob.workspace.render", "fedjob.storage.bucket"),
    ("fedjob.cli.app", "torch"),
)
"""Imports that the design forbids, spelled out: a contract that is weakened lets one through."""


@cache
def graph() -> grimp.ImportGraph:
    """Every import of the three packages. Whoever changes it works on a copy."""
    return grimp.build_graph(
        *SETTINGS["root_packages"], include_external_packages=True, cache_dir=None
    )


def keeps(contract: dict[str, Any], importer: str = "", imported: str = "") -> bool:
    """Whether the contract holds once `importer` imports `imported` as well."""
    changed = graph()
    if importer:
        changed = deepcopy(changed)
        if imported not in changed.modules:
            changed.add_module(imported, is_squashed=True)
        changed.add_import(importer=importer, imported=imported, line_number=1, line_contents="-")
    options = {
        key: str(value) if isinstance(value, bool) else value  # as import-linter reads TOML
        for key, value in contract.items()
        if key not in ("name", "type")
    }
    session = {"root_packages": SETTINGS["root_packages"], "include_external_packages": "True"}
    check = KINDS[contract["type"]](
        name=contract["name"], session_options=session, contract_options=options
    )
    return bool(check.check(graph=changed, verbose=False).kept)


def a_module_of(name: str) -> str:
    """A module at or below `name`: what a developer would write the import in."""
    below = sorted(graph().find_descendants(name)) if name in graph().modules else []
    return next((m for m in below if not graph().find_descendants(m)), name)


def offences(contract: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """One offending import for each arrow that the contract forbids."""
    if contract["type"] == "forbidden":
        yield from itertools.product(contract["source_modules"], contract["forbidden_modules"])
        return
    for container in contract.get("containers", [""]):
        layers = [
            [f"{container}.{name}".lstrip(".") for name in layer.replace(" ", "").split("|")]
            for layer in contract["layers"]
        ]
        for upper, lower in itertools.pairwise(layers):
            yield from itertools.product(lower, upper)
        for layer in layers:
            yield from itertools.permutations(layer, 2)


def test_every_contract_holds() -> None:
    program = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as l; l()"]
    done = subprocess.run(
        [*program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_can_fail(name: str) -> None:
    contract = CONTRACTS[name]
    assert keeps(contract)
    for importer, imported in offences(contract):
        ours = imported.partition(".")[0] in SETTINGS["root_packages"]
        there = a_module_of(imported) if ours else imported
        broken = not keeps(contract, a_module_of(importer), there)
        assert broken, f"{importer} may import {imported}"


@pytest.mark.parametrize(("importer", "imported"), ARROWS)
def test_what_the_design_forbids_breaks_a_contract(importer: str, imported: str) -> None:
    assert importer in graph().modules, f"{importer} has moved: correct ARROWS"
    broken = [name for name, c in CONTRACTS.items() if not keeps(c, importer, imported)]
    assert broken, f"{importer} may import {imported}"


def test_every_package_is_in_the_order_of_layers() -> None:
    layers = next(c for c in CONTRACTS.values() if c["type"] == "layers")["layers"]
    named = {name for layer in layers for name in layer.replace(" ", "").split("|")}
    folder = ROOT / "sdk/fedjob"
    packages = {f"fedjob.{p.parent.name}" for p in folder.glob("*/__init__.py")}
    assert packages <= named
    assert {"fedjob_operator", "fedjob_runtime", "fedjob.errors"} <= named
