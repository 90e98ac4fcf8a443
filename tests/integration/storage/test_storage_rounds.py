from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.commit import Commit, Participant, StrategyState
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import (
    ChecksumMismatchError,
    CorruptCommitError,
    FencedError,
    ObjectMissingError,
    RoundGapError,
    RoundTakenError,
)
from fedjob.storage.layout import Layout
from fedjob.storage.objects import Outcome
from fedjob.storage.rounds import RoundLog


@pytest.fixture
def layout(location: StoreLocation) -> Layout:
    return Layout("default", "digits", location.prefix)


@pytest.fixture
def log(bucket: Bucket, layout: Layout) -> RoundLog:
    return RoundLog(bucket, layout)


@pytest.fixture
def model(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes a "model": the log does not look into it."""

    def write(data: bytes) -> Path:
        path = tmp_path / f"{hashlib.sha256(data).hexdigest()[:8]}.safetensors"
        path.write_bytes(data)
        return path

    return write


def commit_of(path: Path, number: int, attempt: int = 1, segment: int = 0) -> Commit:
    data = path.read_bytes()
    return Commit(
        round=number,
        attempt=attempt,
        segment=segment,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        participants=[Participant(name="worker-0", samples=7)] if number else [],
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:00:01Z",
    )


def test_what_a_strategy_keeps_is_committed_swept_and_fetched_with_its_round(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    path, kept = model(b"weights"), model(b"velocity")
    sha256 = hashlib.sha256(b"velocity").hexdigest()
    commit = commit_of(path, 0).model_copy(
        update={"strategy": StrategyState(sha256=sha256, size=8)}
    )
    # A server that died after it had sent its own.
    stray = layout.round_file(0, layout.round_strategy_name("0" * 64))
    bucket.put_bytes(stray, b"other")
    stored = log.commit(commit, path, kept)
    assert log.commit(commit, path, kept) == stored, "committing the same again changes nothing"
    assert bucket.head(stray) is None
    log.fetch_strategy(log.read(0), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"velocity"
    assert stored.strategy is not None
    bucket.put_bytes(layout.round_file(0, stored.strategy.file), b"tampered")
    with pytest.raises(ChecksumMismatchError):
        log.fetch_strategy(stored, tmp_path / "again")
    plain = log.commit(commit_of(path, 1), path)
    assert b"strategy" not in bucket.get_bytes(layout.commit(1)), "release 0.1 reads this one too"
    log.fetch_strategy(plain, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_rounds_are_read_back_as_committed(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    """Row 12."""
    assert (log.latest(), log.commits(), log.latest_attempt()) == (None, [], 0)
    attempt = log.claim_attempt("test")
    for number in range(12):  # two digits: the order is that of numbers
        path = model(f"weights {number}".encode())
        stored = log.commit(commit_of(path, number, attempt), path)
        assert log.read(number) == log.latest() == stored
    assert log.commits() == list(range(12))
    assert log.fetch_model(10, tmp_path / "out") == log.read(10)
    assert (tmp_path / "out").read_bytes() == b"weights 10"
    names = {info.key.removeprefix(layout.round(3)) for info in bucket.list(layout.round(3))}
    assert names == {"commit.json", log.read(3).model_file}
    fields = json.loads(bucket.get_bytes(layout.commit(3)))
    assert fields["modelFile"] == f"model-{fields['sha256'][:16]}.safetensors"


def test_committing_the_same_again_is_success(
    log: RoundLog, model: Callable[[bytes], Path]
) -> None:
    """A server whose answer was lost tries again."""
    path = model(b"weights")
    commit = commit_of(path, 0)
    assert log.commit(commit, path) == log.commit(commit, path)


def test_a_round_that_another_committed_is_taken(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    theirs, ours = model(b"theirs"), model(b"ours")
    log.commit(commit_of(theirs, 0, attempt=1), theirs)
    with pytest.raises(RoundTakenError, match="attempt 1 committed round 0"):
        log.commit(commit_of(ours, 0, attempt=2), ours)
    log.fetch_model(0, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"theirs"
    assert len(list(bucket.list(layout.round(0)))) == 2  # nothing of ours is left


def test_the_same_model_by_another_server_is_taken_too_and_stays(
    log: RoundLog, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    path = model(b"same")
    log.commit(commit_of(path, 0, attempt=1), path)
    with pytest.raises(RoundTakenError):
        log.commit(commit_of(path, 0, attempt=2), path)
    assert log.fetch_model(0, tmp_path / "out").attempt == 1


def test_of_servers_that_race_one_commits_and_its_model_stays(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    """Row 13: eight threads, the same round, different models; for several rounds."""
    racers = 8
    for number in range(4):
        paths = [model(f"{number} {racer}".encode() * 1000) for racer in range(racers)]
        barrier = threading.Barrier(racers)

        def race(
            racer: int,
            number: int = number,
            paths: list[Path] = paths,
            barrier: threading.Barrier = barrier,
        ) -> bool:
            commit = commit_of(paths[racer], number, segment=racer)
            barrier.wait()
            try:
                log.commit(commit, paths[racer])
            except RoundTakenError:
                return False
            return True

        with ThreadPoolExecutor(racers) as pool:
            won = list(pool.map(race, range(racers)))
        assert won.count(True) == 1
        winner = paths[won.index(True)].read_bytes()
        commit = log.fetch_model(number, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == winner
        assert commit.sha256 == hashlib.sha256(winner).hexdigest()
        assert commit.segment == won.index(True)
        assert len(list(bucket.list(layout.round(number)))) == 2
    assert log.commits() == [0, 1, 2, 3]


def test_server_whose_model_was_swept_away_learns_that_the_round_is_taken(
    log: RoundLog,
    bucket: Bucket,
    model: Callable[[bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other server commits between our upload and the look whether it arrived."""
    ours, theirs = model(b"ours"), model(b"theirs")
    upload = Bucket.upload_file

    def overtaken(self: Bucket, path: Path, key: str, **options: Any) -> Any:
        if path != ours:
            return upload(self, path, key, **options)
        monkeypatch.setattr(Bucket, "upload_file", upload)
        log.commit(commit_of(theirs, 0, segment=2), theirs)
        raise ChecksumMismatchError(bucket.where(key), "is not there", "upload it again")

    monkeypatch.setattr(Bucket, "upload_file", overtaken)
    with pytest.raises(RoundTakenError):
        log.commit(commit_of(ours, 0, segment=1), ours)
    assert log.read(0).segment == 2


SERVER = """
import sys
from pathlib import Path
from fedjob.protocol.commit import Commit
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import RoundTakenError
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog

location = StoreLocation.model_validate_json(sys.argv[1])
commit = Commit.model_validate_json(sys.argv[2])
with Bucket(location) as bucket:
    log = RoundLog(bucket, Layout("default", "digits", location.prefix))
    log.latest()
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        log.commit(commit, Path(sys.argv[3]))
    except RoundTakenError:
        print("taken")
    else:
        print("won")
"""


def test_of_processes_that_race_one_commits(
    store: EmbeddedStore,
    location: StoreLocation,
    log: RoundLog,
    model: Callable[[bytes], Path],
    tmp_path: Path,
) -> None:
    """Row 13: as two server pods would, with models that go in parts."""
    paths = [model(bytes([racer]) * 17 * 1024 * 1024) for racer in range(3)]
    servers = [
        subprocess.Popen(
            [
                sys.executable, "-c", SERVER, location.model_dump_json(),
                commit_of(path, 0).model_dump_json(), str(path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path), **store.credentials.environment()},
        )
        for path in paths
    ]  # fmt: skip
    for server in servers:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
    for server in servers:
        assert server.stdin is not None
        server.stdin.write("go\n")
        server.stdin.flush()
    answers = [server.communicate()[0].strip() for server in servers]
    assert sorted(answers) == ["taken", "taken", "won"]
    log.fetch_model(0, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == paths[answers.index("won")].read_bytes()


def test_attempts_grow_also_when_claimed_at_once(log: RoundLog) -> None:
    assert [log.claim_attempt("a"), log.claim_attempt("b")] == [1, 2]
    with ThreadPoolExecutor(6) as pool:
        claimed = list(pool.map(lambda number: log.claim_attempt(f"pod-{number}"), range(6)))
    assert sorted(claimed) == [3, 4, 5, 6, 7, 8]
    assert log.latest_attempt() == 8


def test_a_fenced_server_cannot_commit(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path]
) -> None:
    path = model(b"weights")
    old = log.claim_attempt("old")
    log.commit(commit_of(path, 0, old), path)
    new = log.claim_attempt("new")
    with pytest.raises(FencedError, match=f"attempt {new} has started; stop this one"):
        log.commit(commit_of(path, 1, old), path)
    assert list(bucket.list(layout.round(1))) == []
    log.commit(commit_of(path, 1, new), path)


def test_a_server_fenced_while_it_uploads_cannot_commit(
    store: EmbeddedStore, layout: Layout, log: RoundLog, model: Callable[[bytes], Path]
) -> None:
    class Slow(Bucket):
        """Another server starts while this one sends its model."""

        def upload_file(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            done = super().upload_file(*args, **kwargs)
            log.claim_attempt("new")
            return done

    path = model(b"weights")
    with Slow(store.location, store.credentials) as slow:
        old = RoundLog(slow, layout)
        attempt = old.claim_attempt("old")
        with pytest.raises(FencedError):
            old.commit(commit_of(path, 0, attempt), path)
    assert log.commits() == []


def test_no_round_is_left_out(log: RoundLog, model: Callable[[bytes], Path]) -> None:
    path = model(b"weights")
    with pytest.raises(RoundGapError, match="round 4 is not committed; commit it first"):
        log.commit(commit_of(path, 5), path)


def test_a_commit_must_tell_of_its_file(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path]
) -> None:
    path = model(b"weights")
    commit = commit_of(path, 0)
    path.write_bytes(b"weightz")
    with pytest.raises(ChecksumMismatchError, match="changed while it was being uploaded"):
        log.commit(commit, path)
    assert list(bucket.list(layout.root)) == []


def test_models_of_servers_that_died_are_swept(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path]
) -> None:
    bucket.put_bytes(layout.round_file(0, "model-0000000000000000.safetensors"), b"orphan")
    path = model(b"weights")
    log.commit(commit_of(path, 0), path)
    assert len(list(bucket.list(layout.round(0)))) == 2


def test_a_tampered_model_is_not_taken(
    log: RoundLog, bucket: Bucket, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    path = model(b"weights")
    stored = log.commit(commit_of(path, 0), path)
    bucket.put_bytes(log.model_key(stored), b"WEIGHTS")  # with metadata that fits the wrong bytes
    with pytest.raises(ChecksumMismatchError, match="altered or damaged"):
        log.fetch_model(0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no commit"),
        (b"{}", "no commit, 6 faults"),
        (b"\xff", "no commit"),
        (
            b'{"round":1,"attempt":1,"sha256":"","size":0,"started":"","ended":""}',
            "the commit of round 1",
        ),
    ],
)
def test_damaged_commit_is_an_error(
    log: RoundLog, bucket: Bucket, layout: Layout, body: bytes, message: str
) -> None:
    bucket.put_bytes(layout.commit(0), body)
    with pytest.raises(CorruptCommitError, match=f"{message}.*; restore it, or delete s3://"):
        log.latest()


def test_a_round_that_is_not_there(log: RoundLog, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match=r"rounds/3/commit\.json"):
        log.fetch_model(3, tmp_path / "out")


def test_the_result_is_the_committed_model(
    log: RoundLog, bucket: Bucket, layout: Layout, model: Callable[[bytes], Path], tmp_path: Path
) -> None:
    path, other = model(b"weights"), model(b"other")
    log.commit(commit_of(path, 0), path)
    report = tmp_path / "report.html"
    report.write_text("<html>")
    with pytest.raises(ChecksumMismatchError, match="is not the model of round 0"):
        log.publish_result(0, {"report.html": report, "model.safetensors": other})
    assert list(bucket.list(layout.model_out)) == []
    files = {"model.safetensors": path, "report.html": report}
    done = log.publish_result(0, files)
    assert done["model.safetensors"].key == f"{layout.model_out}model.safetensors"
    assert bucket.get_bytes(done["report.html"].key) == b"<html>"
    again = log.publish_result(0, files)
    assert {upload.outcome for upload in again.values()} == {Outcome.SKIPPED}
    with pytest.raises(ObjectMissingError):
        log.publish_result(1, files)
