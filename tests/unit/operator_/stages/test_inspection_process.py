"""The frames between the operator and the process that inspects shards."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from fedjob_operator.stages.inspection_process import ClosedPipeError, receive, send


def test_frames_arrive_whole_and_in_order() -> None:
    pipe = io.BytesIO()
    for data in (b"", b"a", b"b" * 1000):
        send(pipe, data)
    pipe.seek(0)
    assert [receive(pipe, 1000) for _ in range(3)] == [b"", b"a", b"b" * 1000]
    with pytest.raises(ClosedPipeError, match="no further frame"):
        receive(pipe, 1000)


def test_frame_that_is_too_long_or_cut_off_is_refused() -> None:
    pipe = io.BytesIO()
    send(pipe, b"abc")
    with pytest.raises(ClosedPipeError, match="3 bytes, at most 2"):
        receive(io.BytesIO(pipe.getvalue()), 2)
    with pytest.raises(ClosedPipeError, match="cut off"):
        receive(io.BytesIO(pipe.getvalue()[:-1]), 3)


def test_process_imports_no_store_and_no_models() -> None:
    """Start-up is paid for each job, and what is not imported has no keys."""
    code = (
        "import sys, fedjob_operator.stages.inspection_process\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, env={}
    )
    heavy = {"boto3", "botocore", "pydantic", "kubernetes", "aiohttp", "requests", "docker"}
    assert heavy.isdisjoint(found.stdout.split())
