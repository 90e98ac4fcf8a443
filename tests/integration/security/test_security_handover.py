"""What the author's code on the server can do to the supervisor, which has the store's keys."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fedjob.reasons import Reason
from support.federation import Federation

pytestmark = pytest.mark.federation

NET = """
import os
from pathlib import Path
from torch import nn

ON_SERVER = "FEDJOB_HANDOVER" in os.environ


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        if ON_SERVER:
            attack()


def fl_train_model(payload, out_dir):
    return {"weights": payload["initial_weights"], "samples": 2}


"""
# Reads what its user may read of every process of the federation: all, since all have one user. The
# embedded store is not one of them.
LOOKS_AROUND = (
    NET
    + """
def attack():
    with open(Path(os.environ["FEDJOB_HANDOVER"]).parent / "seen", "wb") as seen:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environ = (entry / "environ").read_bytes()
                if os.environ["FEDJOB_TEST_FEDERATION"].encode() in environ:
                    seen.write(environ + (entry / "cmdline").read_bytes())
            except OSError:
                pass
"""
)


def test_authors_code_finds_the_keys_in_no_environment(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(LOOKS_AROUND, [2], federation={"num_rounds": 1})
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    seen = (fed.folder / "seen").read_bytes()
    assert b"fedjob_runtime.server.main" in seen, "the supervisor's command line was read"
    assert fed.store.credentials.secret_key.encode() not in seen


# Hands something else over than the model of round 0; its checksum is right where it can be.
HANDS_OVER = (
    NET
    + """
def attack():
    import hashlib
    from fedjob_runtime.server.ipc import Handover

    honest = Handover.offer_round
    secret = Path(os.environ["FEDJOB_HANDOVER"]).parent / "secret"

    def offer(self, number, facts):
        model = self.model_file(number)
        model.unlink()
        sha256 = hashlib.sha256(secret.read_bytes()).hexdigest()
        PLACE
        honest(self, number, {**facts, "sha256": sha256})

    Handover.offer_round = offer
"""
)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("model.symlink_to(secret)", "rounds/0/model.safetensors, .* cannot be opened"),
        ("os.mkfifo(model)", "rounds/0/model.safetensors, .* is not a regular file"),
        ("os.truncate(model.open('w').name, 1 << 40)", "has more than 68719476736 bytes"),
        (
            "model.with_name('round.json').write_text('[' * 10**6); return",
            r"rounds/0/round\.json, .* is not JSON",
        ),
    ],
    ids=["link", "FIFO", "endless", "deep"],
)
def test_hostile_job_process_ends_its_own_run(
    federation: Callable[..., Federation], place: str, message: str
) -> None:
    fed = federation(HANDS_OVER.replace("PLACE", place), [2], federation={"num_rounds": 1})
    (fed.folder / "secret").write_bytes(os.urandom(99))
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert status.reason == Reason.HANDOVER_INVALID
    assert re.search(message, status.message), status.message
    assert fed.log.commits() == []
    assert list(fed.bucket.list(fed.layout.rounds)) == [], "nothing was uploaded"
    copies = Path(fed.home("server")) / "orders/rounds"
    assert [path for path in copies.rglob("*") if path.is_file()] == []
