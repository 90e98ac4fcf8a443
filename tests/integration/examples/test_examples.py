"""examples/ as they are: digits on three workers, forms A, B, C (rows 2, 13, 17, 20, 21, 24)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fedjob.spec.validation.parse import parse_job
from support.repository import ROOT

DIGITS = ROOT / "examples/digits"
JOBS = ("job.yaml", "job-form-a.yaml", "job-form-c.yaml")
SAMPLES = {"digits-0.zip": 700, "digits-1.zip": 450, "digits-2.zip": 297, "validation.zip": 350}


def make(out: Path) -> Path:
    """Runs the example's script."""
    command = [sys.executable, str(DIGITS / "make_shards.py"), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, made once."""
    return make(tmp_path_factory.mktemp("digits"))


def manifest(path: Path) -> list[dict[str, Any]]:
    """The lines of a shard's manifest."""
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for line in archive.read("manifest.ndjson").splitlines()]


def test_the_shards_are_the_same_bytes_each_time(shards: Path, tmp_path: Path) -> None:
    again = make(tmp_path / "again")
    assert sorted(path.name for path in again.iterdir()) == sorted(SAMPLES)
    for name in SAMPLES:
        assert (again / name).read_bytes() == (shards / name).read_bytes(), name


def test_every_digit_is_in_exactly_one_shard_and_is_the_data_sets_own(shards: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    seen: list[int] = []
    for name, samples in SAMPLES.items():
        lines = manifest(shards / name)
        assert len(lines) == samples
        with zipfile.ZipFile(shards / name) as archive:
            assert len(archive.namelist()) == samples + 1
            for line in lines:
                index = int(line["id"].removeprefix("digit-"))
                seen.append(index)
                assert line["y"] == digits.target[index]
                image = Image.open(io.BytesIO(archive.read(line["uri"])))
                expected = [round(value * 255 / 16) for value in digits.images[index].ravel()]
                assert list(image.tobytes()) == pytest.approx(expected, abs=1)
    assert sorted(seen) == list(range(1797))


def test_workers_see_different_mixes_and_validation_sees_all_digits(shards: Path) -> None:
    shares = {}
    for name, samples in SAMPLES.items():
        counts = Counter(line["y"] for line in manifest(shards / name))
        shares[name] = [counts[digit] / samples for digit in range(10)]
    assert all(0.05 < share < 0.15 for share in shares.pop("validation.zip"))
    names = sorted(shares)
    for one in names:
        for other in names[: names.index(one)]:
            distance = sum(abs(a - b) for a, b in zip(shares[one], shares[other], strict=True)) / 2
            assert distance > 0.25, (one, other)


@pytest.mark.parametrize("job", JOBS)
def test_the_jobs_are_complete_resources(job: str) -> None:
    text = (DIGITS / job).read_text("utf-8")
    parsed = parse_job(text, job)
    assert parsed.spec.shards.validation == "validation.zip"
    assert parsed.spec.federation.num_rounds == 5


@pytest.mark.federation
@pytest.mark.parametrize("job", JOBS)
def test_the_job_reaches_ninety_percent_on_images_no_worker_had(
    job: str, shards: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-c",
        "from fedjob.cli import main; main()",
        "run",
        str(DIGITS / job),
    ]
    command += ["--shards", str(shards), "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env=os.environ.copy()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["state"] == "Complete"
    assert [line["round"] for line in result["rounds"]] == [1, 2, 3, 4, 5]
    assert {line["samples"] for line in result["rounds"]} == {700 + 450 + 297}
    assert result["rounds"][-1]["metrics"]["val_accuracy"] >= 0.90
    assert (
        result["rounds"][-1]["metrics"]["val_accuracy"]
        > result["rounds"][0]["metrics"]["val_accuracy"]
    )
    for name in ("model.safetensors", "GLOBAL_MODEL.pt", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 1000, name
