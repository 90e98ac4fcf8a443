"""One job as a screen of 80 and of 200 columns."""

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from fedjob.cli.display.job_screen import job_screen
from fedjob.engines.result import ModelFile, RoundLine
from fedjob.engines.run_status import ClientInfo, RunEvent, RunStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOLDEN = [
    "team/digits  Training  75s",
    "  round 4 of 5",
    "round 3/5 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                         ETA 20.0 s",
    "CLIENT    STATE     SEEN  SAMPLES  RESTARTS  SHARD",
    "worker-0  Training    3s      482         0  digits-0.zip",
    "worker-1  Training    4s      482         0  digits-1.zip",
    "worker-2  Training    5s      482         0  digits-2.zip",
    "val_accuracy      0.95  ▁▄█",
    "9s  RoundCompleted  round 3",
]


def shown(screen, width=80):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(screen)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def client(number, state="Training", **more):
    return ClientInfo(
        name=f"worker-{number}", shard=f"digits-{number}.zip", state=state,
        last_heartbeat=NOW - timedelta(seconds=3 + number), samples=482, **more,
    )  # fmt: skip


def run(**more):
    history = [
        RoundLine(round=n, clients=3, samples=1447, metrics={"val_accuracy": 0.8 + n / 20},
                  seconds=1.5)
        for n in (1, 2, 3)
    ]  # fmt: skip
    values = {
        "name": "digits", "namespace": "team", "state": "Training", "completed": 3, "total": 5,
        "connected": 3, "expected": 3, "clients": [client(0), client(1), client(2)],
        "history": history, "start_time": NOW - timedelta(seconds=75), "attempt": 1,
        "eta": NOW + timedelta(seconds=20), **more,
    }  # fmt: skip
    return RunStatus(**values)


def test_screen_of_80_columns():
    event = RunEvent(time=NOW - timedelta(seconds=9), reason="RoundCompleted", message="round 3")
    found = shown(job_screen(run(message="round 4 of 5"), [event], NOW))
    assert found == GOLDEN


def test_clients_in_trouble_are_always_shown():
    clients = [client(n) for n in range(20)] + [client(20, "Lost", message="its node is gone")]
    found = shown(job_screen(run(clients=clients), [], NOW, most_clients=3))
    assert any("worker-20" in line and "its node is gone" in line for line in found)
    assert "and 18 more" in found
    assert len([line for line in found if line.startswith("worker-")]) == 3


def test_why_a_run_failed_and_where_the_model_is():
    failed = run(state="Failed", reason="OutOfMemory", message="reduce batch_size", attempt=2,
                 retries={"s3": 2})  # fmt: skip
    found = shown(job_screen(failed, [], NOW, notes=["connection lost"]))
    assert found[0] == "team/digits  Failed  75s  server start 2  retries: s3 2"
    assert found[1] == "  OutOfMemory: reduce batch_size"
    assert found[-1] == "! connection lost"
    model = ModelFile(uri="s3://bucket/model.safetensors", sha256="0" * 64, size=41336)
    done = shown(job_screen(run(state="Complete", result=model, eta=None), [], NOW), 200)
    assert "model    s3://bucket/model.safetensors  41.3 KB" in done
    assert "clients 3/3" in done[1]


def test_no_line_is_wider_than_the_terminal():
    long = "x" * 150
    events = [RunEvent(time=NOW, type="Warning", reason="Long", message=long, about="pod")]
    status = run(message=long, clients=[client(0, message=long)])
    for width in (80, 200):
        assert max(len(line) for line in shown(job_screen(status, events, NOW), width)) <= width


def test_reasons_of_events_are_whole_however_long_their_messages():
    events = [
        RunEvent(time=NOW - timedelta(seconds=9), reason="Accepted", message="fine"),
        RunEvent(time=NOW - timedelta(hours=4), type="Warning", reason="WorkerLost",
                 message="y" * 100, about="digits-worker-1"),
    ]  # fmt: skip
    found = shown(job_screen(run(history=[]), events, NOW))[-2:]
    assert found[0] == "  9s  Accepted    fine"
    assert found[1] == f"4h0m  WorkerLost  digits-worker-1: {'y' * 44}…"
