"""What charts/fedjob prints after an installation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.chart import ALL, CHART, only, render


def notes(tmp_path: Path, values: dict[str, Any]) -> str:
    """What is printed after an installation: `helm template` leaves it out."""
    chart = tmp_path / "fedjob"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "files" / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text(
        "kind: Notes\nmetadata: {name: notes}\n"
        'text: {{ tpl (.Files.Get "files/notes.txt") . | quote }}\n'
    )
    return str(only(render(values, chart=chart), "Notes", "notes")["text"])


@pytest.mark.parametrize(
    ("values", "there", "absent"),
    [
        (
            {},
            [
                "the namespaces fedjob-system",
                "-n fedjob-system apply",
                "get fj -w",
                "s3-keys",
                "storage.bucket",
                "jobs.repository",
            ],
            ["The store:", "The registry:"],
        ),
        ({"clusterWide": True}, ["every namespace", "  kubectl apply -f job.yaml"], []),
        (
            {
                "namespaces": ["a", "b"],
                "storage": {"bucket": "models", "secretName": "keys"},
                "jobs": {"repository": "registry.test/jobs"},
            },
            ["the namespaces a, b", "deployment/fedjob-operator"],
            ["Missing"],
        ),
        (
            {**ALL, "crds": {"install": False}},
            [
                "service/fedjob-store 8333",
                "The registry:",
                "CLUSTER-IP fedjob-registry.",
                "The CRD",
            ],
            ["Missing", "Warning"],
        ),
        (
            {"store": {"enabled": True, "persistence": {"enabled": False}}},
            ["Warning", "jobs.repository"],
            ["storage.bucket"],
        ),
    ],
    ids=["nothing", "cluster", "complete", "embedded", "no volume"],
)
def test_notes_name_the_next_steps_and_missing_values(
    tmp_path: Path, values: dict[str, Any], there: list[str], absent: list[str]
) -> None:
    text = notes(tmp_path, values)
    assert [each for each in there if each not in text] == []
    assert [each for each in absent if each in text] == []
