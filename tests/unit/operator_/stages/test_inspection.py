"""Shards are inspected in a process with limits: a bad one fails alone."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from pathlib import Path

import pytest

from fedjob.reasons import Reason
from fedjob.workspace.shard.archive import ShardInfo, inspect_shard
from fedjob_operator.stage_run import StageRun, thread_run
from fedjob_operator.stages import inspection
from fedjob_operator.stages.errors import InputError, StageError
from fedjob_operator.stages.inspection import Inspector
from support.bombs.zips import directory_only, packed
from support.operator.shard_stores import shard

MANIFEST = "manifest.ndjson"


def seen(inspector: Inspector, data: bytes, *, needs_manifest: bool = True) -> ShardInfo:
    file = io.BytesIO(data)
    return inspector.inspect(file, "a.zip", MANIFEST, needs_manifest=needs_manifest)


@pytest.mark.parametrize("needs_manifest", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        shard(1, 2, 3),
        packed(a=b"x" * 1000),
        packed(**{MANIFEST: b"{}"}),
        packed(**{MANIFEST: b'{"id": "1", "uri": "a.png", "y": [1, 2]}', "a.png": b"no image"}),
        packed(**{MANIFEST: '{"id": "ä", "uri": "ä.txt", "y": 1.5}'.encode(), "ä.txt": b"x"}),
        packed(**{"../x": b""}),
        b"no zip",
        b"",
    ],
    ids=["shard", "no manifest", "bad line", "no image", "numbers", "path", "no zip", "empty"],
)
def test_result_is_that_of_the_same_inspection_in_this_process(
    data: bytes, needs_manifest: bool
) -> None:
    expected: ShardInfo | tuple[Reason, str]
    found: ShardInfo | tuple[Reason, str]
    try:
        expected = inspect_shard(io.BytesIO(data), "a.zip", needs_manifest=needs_manifest)
    except inspection.InvalidInputError as error:
        expected = (error.reason, str(error))
    try:
        with Inspector() as inspector:
            found = seen(inspector, data, needs_manifest=needs_manifest)
    except InputError as error:
        found = (error.reason, str(error))
    assert found == expected


def test_shard_that_needs_more_memory_fails_alone() -> None:
    """The process ends; another inspects what follows."""
    with Inspector(memory_bytes=48 << 20) as inspector:
        first = seen(inspector, shard(1))
        with pytest.raises(InputError, match=r"needs more than 48 MiB .*; split it") as caught:
            seen(inspector, directory_only(100_000))
        assert caught.value.reason is Reason.SHARD_UNSAFE
        assert seen(inspector, shard(1)) == first


def test_shard_that_needs_more_cpu_time_fails_alone() -> None:
    lines = packed(**{MANIFEST: b"\n" * (32 << 20)})
    with Inspector(cpu_seconds=1) as inspector:
        with pytest.raises(InputError, match=r"takes more than 1 s .*; split it"):
            seen(inspector, lines)
        assert seen(inspector, shard(1)).files == 2


def test_operator_s_limit_of_entries_is_checked_before_the_directory_is_read() -> None:
    with Inspector() as inspector:
        assert "no manifest" not in str(caught_of(inspector, directory_only(100_000)))
        error = caught_of(inspector, directory_only(100_001))
    assert "has 100001 entries; at most 100000 are allowed" in str(error)


def caught_of(inspector: Inspector, data: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        seen(inspector, data)
    return caught.value


def test_one_process_serves_all_shards_and_has_no_environment() -> None:
    with Inspector() as inspector:
        seen(inspector, shard(1))
        process = inspector._process
        assert process is not None
        assert Path(f"/proc/{process.pid}/environ").read_bytes() == b""
        seen(inspector, shard(2))
        assert inspector._process is process
    assert process.returncode == 0


@pytest.mark.parametrize(
    "answer",
    [
        '{"read": [0, 1048577]}',
        '{"read": [-1, 1]}',
        '{"read": [0, 1000000]}',
        "x" * (inspection.MOST_ANSWER + 1),
    ],
    ids=["much", "before", "beyond", "long"],
)
def test_process_cannot_ask_for_what_is_not_the_shard(
    answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "hostile.py"
    script.write_text(
        "import struct, sys, time\n"
        f"text = {answer!r}.encode()\n"
        "sys.stdout.buffer.write(struct.pack('>I', len(text)) + text)\n"
        "sys.stdout.flush()\n"
        "sys.stdin.read()\n"
    )
    monkeypatch.setattr(inspection, "_COMMAND", (sys.executable, str(script)))
    with Inspector() as inspector, pytest.raises(StageError, match="its inspection"):
        seen(inspector, shard(1))


def test_process_of_an_ended_stage_is_killed() -> None:
    pids: list[int] = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            reading.set()
            released.wait()
            return super().read(size)

    def call() -> None:
        with Inspector() as inspector:
            process = inspector._started()
            pids.append(process.pid)
            inspector.inspect(Slow(shard(1)), "a.zip", MANIFEST, needs_manifest=True)

    async def main() -> None:
        run = StageRun("test: inspection")
        run.enter()
        task = asyncio.create_task(run.run(call))
        await asyncio.to_thread(reading.wait)
        run.end()
        released.set()
        await asyncio.wait([task])
        assert isinstance(task.exception(), StageError)

    reading, released = threading.Event(), threading.Event()
    asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert thread_run() is None
