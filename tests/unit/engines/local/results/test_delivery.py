"""When a folder already holds what a run is to bring: nothing runs again."""

import hashlib

import pytest

from fedjob.engines.local.record import RunRecord
from fedjob.engines.local.results.delivery import delivered
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import ModelFile, RoundLine, RunResult, RunState

WEIGHTS = b"the weights"


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.at(tmp_path)
    folder.model.write_bytes(WEIGHTS)
    folder.model_pt.write_bytes(b"x")
    folder.report.write_text("x")
    result_of().write(folder.result)
    return folder


def result_of(state=RunState.COMPLETE, rounds=2):
    line = {"clients": 1, "samples": 1, "metrics": {}, "seconds": 1.0}
    return RunResult(
        name="x",
        namespace="default",
        state=state,
        rounds=[RoundLine(round=n + 1, **line) for n in range(rounds)],
        model=ModelFile(sha256=hashlib.sha256(WEIGHTS).hexdigest(), size=len(WEIGHTS)),
    )


RECORD = RunRecord(num_rounds=2, identity={})


def test_a_whole_result_is_taken(folder):
    assert delivered(folder, RECORD) == result_of()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.result.unlink(),
        lambda folder: folder.result.write_text("{"),
        lambda folder: folder.model.unlink(),
        lambda folder: folder.model.write_bytes(b"damaged"),
        lambda folder: folder.model_pt.unlink(),
        lambda folder: folder.report.unlink(),
        lambda folder: result_of(RunState.FAILED).write(folder.result),
        lambda folder: result_of(rounds=1).write(folder.result),
        lambda folder: result_of(rounds=0).write(folder.result),
    ],
)
def test_anything_less_is_not(folder, spoil):
    spoil(folder)
    assert delivered(folder, RECORD) is None
