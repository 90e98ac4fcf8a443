"""bandit over what runs on servers and laptops: every finding is answered, and no answer is stale.

A finding is answered on its line, by ruff's `# noqa: S<number>` of the same rule with a reason, or
in the table below. A table, since ruff leaves those rules out and would need a second comment for
bandit alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

from support.repository import ROOT

SOURCES = ("sdk", "operator", "images")
CHILD = "starts a program with a list of arguments, without a shell"
ANSWERS: dict[tuple[str, str], tuple[int, str]] = {
    ("images/runtime/fedjob_runtime/processes/children.py", "B404"): (1, CHILD),
    ("images/runtime/fedjob_runtime/processes/children.py", "B603"): (1, CHILD),
    ("images/runtime/fedjob_runtime/processes/fork_client.py", "B404"): (
        1,
        "for the type and the errors of child processes",
    ),
    ("images/runtime/fedjob_runtime/server/agent/nvflare_server.py", "B404"): (
        1,
        "for the type and the errors of child processes",
    ),
    ("images/runtime/fedjob_runtime/server/agent/torch_file.py", "B404"): (1, CHILD),
    ("images/runtime/fedjob_runtime/server/agent/torch_file.py", "B603"): (1, CHILD),
    ("images/runtime/fedjob_runtime/training/weights.py", "B403"): (
        1,
        "for the type of torch's error: weights are loaded with weights_only",
    ),
    ("images/runtime/fedjob_runtime/worker/main.py", "B404"): (
        1,
        "for the type and the errors of child processes",
    ),
    ("images/sbom.py", "B404"): (1, CHILD),
    ("images/sbom.py", "B603"): (3, CHILD),
    ("images/sbom.py", "B607"): (3, "docker and go, as the developer's PATH has them; in no image"),
    ("operator/fedjob_operator/image/append.py", "B311"): (1, "jitter between tries, not a secret"),
    ("operator/fedjob_operator/image/registry_connection.py", "B311"): (
        1,
        "jitter between tries, not a secret",
    ),
    ("operator/fedjob_operator/image/errors.py", "B107"): (
        1,
        "an empty default: the name of a Secret, or none",
    ),
    ("operator/fedjob_operator/kube/client.py", "B105"): (
        2,
        "the kind Secret in tables of the API",
    ),
    ("operator/fedjob_operator/resources/pods.py", "B113"): (
        1,
        "a dict named requests, not the library",
    ),
    ("operator/fedjob_operator/stages/inspection.py", "B404"): (1, CHILD),
    ("operator/fedjob_operator/stages/inspection.py", "B603"): (1, CHILD),
    ("operator/fedjob_operator/stages/source_check.py", "B404"): (1, CHILD),
    ("operator/fedjob_operator/stages/source_check.py", "B603"): (1, CHILD),
    ("sdk/fedjob/cli/commands/completion.py", "B604"): (
        1,
        "the name of a shell, to a function that prints a script",
    ),
    ("sdk/fedjob/compat/ignored.py", "B105"): (
        1,
        "texts about arguments that have no meaning here",
    ),
    ("sdk/fedjob/engines/kubernetes/events.py", "B105"): (1, "the continue token of a list"),
    ("sdk/fedjob/engines/kubernetes/jobs.py", "B105"): (1, "the continue token of a list"),
    ("sdk/fedjob/engines/local/processes/overlay.py", "B404"): (1, CHILD),
    ("sdk/fedjob/engines/local/processes/overlay.py", "B603"): (1, CHILD),
    ("sdk/fedjob/engines/local/processes/processes.py", "B404"): (1, CHILD),
    ("sdk/fedjob/engines/local/processes/processes.py", "B603"): (2, CHILD),
    ("sdk/fedjob/engines/local/store/embedded_store.py", "B108"): (
        1,
        "sockets that SeaweedFS makes there by the port; only removed",
    ),
    ("sdk/fedjob/engines/local/store/embedded_store.py", "B404"): (1, CHILD),
    ("sdk/fedjob/engines/local/store/embedded_store.py", "B603"): (1, CHILD),
    ("sdk/fedjob/engines/local/store/ports.py", "B311"): (1, "the order in which ports are tried"),
}
"""How many findings of a rule a file has, and why they are no fault."""


def findings(*paths: str) -> list[tuple[str, str, list[int]]]:
    """File, rule and lines of each finding that no `# nosec` answers."""
    command = [sys.executable, "-m", "bandit", "-q", "-r", *paths, "-f", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["errors"] == []
    assert report["metrics"]["_totals"]["loc"] > 0
    return [
        (found["filename"], found["test_id"], found["line_range"]) for found in report["results"]
    ]


def answered_on_the_line(file: str, rule: str, lines: list[int]) -> bool:
    """Whether ruff's rule of the same number is answered there, with a reason."""
    text = (ROOT / file).read_text().splitlines()
    answer = re.compile(rf"# noqa: [A-Z0-9, ]*\bS{rule[1:]}\b[A-Z0-9, ]*(\(| - )\w")
    return any(answer.search(text[number - 1]) for number in lines)


def test_every_finding_of_bandit_is_answered_and_no_answer_is_stale() -> None:
    found = findings(*SOURCES)
    open_ = [place for place in found if not answered_on_the_line(*place)]
    counted = Counter((file, rule) for file, rule, _ in open_)
    assert counted == {place: count for place, (count, _) in ANSWERS.items()}


def test_a_fault_is_found() -> None:
    """This file starts a process itself, which bandit reports."""
    rules = {rule for _, rule, _ in findings("tests/integration/security/test_bandit.py")}
    assert "B603" in rules
