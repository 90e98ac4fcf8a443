"""When a folder already holds what a run is to bring: nothing runs again."""

import hashlib

import pytest

from fedjob.engines.local.record import RunRecord
from fedjob.engines.local.results.delivery import _fetch_best, delivered
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import BestModelFile, ModelFile, RoundLine, RunResult, RunState
from fedjob.protocol.commit import BestRound, Commit, Standing

WEIGHTS = b"the weights"


def commit_of(number, **facts):
    times = {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:01Z"}
    return Commit(round=number, attempt=1, sha256="0" * 64, size=8, **times, **facts)


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


def best_of(data):
    return BestModelFile(
        sha256=hashlib.sha256(data).hexdigest(), size=len(data), round=1, metric="m", value=0.5
    )


def test_result_of_a_run_that_stopped_early_is_whole(folder):
    result = result_of(rounds=1).model_copy(update={"stopped": 2, "best": best_of(b"best")})
    result.write(folder.result)
    assert delivered(folder, RECORD) is None, "its best model is missing"
    folder.best_model.write_bytes(b"best")
    assert delivered(folder, RECORD) == result
    assert delivered(folder, RunRecord(num_rounds=3, identity={})) is None


def test_best_model_is_delivered_from_its_own_round(folder):
    best = BestRound(round=1, metric="m", mode="max", value=0.5, sha256="ab" * 32, size=4)
    last = commit_of(2, standing=Standing(best=best, waited=1))

    class Log:
        def fetch_model(self, number, path):
            path.write_bytes(b"model of round %d" % number)

    found = _fetch_best(folder, Log(), last)
    assert folder.best_model.read_bytes() == b"model of round 1"
    assert (found.round, found.metric, found.value, found.uri) == (
        1,
        "m",
        0.5,
        folder.best_model.as_uri(),
    )
    assert _fetch_best(folder, Log(), commit_of(2)) is None
