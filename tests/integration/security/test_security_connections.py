"""Strangers at the server's port and at the store, while two good workers train."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedjob.protocol.config import WorkerConfig
from fedjob_runtime.nvflare_site.site_folder import prepare_site
from support.federation import Federation
from support.security_pki import Authority, certificate_in

pytestmark = pytest.mark.federation

CONNECTIONS = 10_000
FLOODERS = 2

MODEL = """
import time
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


def fl_train_model(payload, out_dir):
    time.sleep(1.0)
    return {"weights": {k: v + 1 for k, v in payload["initial_weights"].items()}, "samples": 2}
"""

# Opens `count` connections and keeps them: silent, with garbage, with TLS but no certificate. Ends
# when its stdin does, at the latest after two minutes.
FLOOD = """
import json, resource, select, socket, ssl, sys, time

port, count = int(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
end = time.monotonic() + 120
held, done = [], 0
while done < count and time.monotonic() < end:
    try:
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
    except OSError:
        time.sleep(0.05)
        continue
    done += 1
    try:
        if done % 10 == 0:
            one.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n" + bytes(range(256)))
        elif done % 10 == 1 and done < 1000:
            one = context.wrap_socket(one)
            one.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n")
    except OSError:
        pass  # cut off: what is wanted
    held.append(one)
print(json.dumps({"opened": done}), flush=True)
select.select([sys.stdin], [], [], max(0, end - time.monotonic()))
shed = 0
end = time.monotonic() + 60  # each is given a while to say who it is
for one in held:
    one.settimeout(max(0.001, end - time.monotonic()))
    try:
        while one.recv(4096):
            pass
        shed += 1
    except TimeoutError:
        pass
    except OSError:
        shed += 1
print(json.dumps({"shed": shed}), flush=True)
"""


def worker_output(fed: Federation, kit: Path, *, url: str | None = None, seconds: float = 0) -> str:
    """What `fedjob-worker` for worker-1 prints with another kit or URL.

    Args:
        fed: The federation.
        kit: Its kit.
        url: Where it asks for its shard.
        seconds: It is ended after so long; 0 expects it to end by itself with exit code 64.
    """
    config = WorkerConfig.model_validate_json((fed.folder / "worker-1.json").read_text())
    home = fed.folder / f"rogue-{kit.name}"
    changes = {"kit": str(kit), "home": str(home)}
    if url is not None:
        file = fed.folder / f"{kit.name}.url"
        file.write_text(url)
        changes["shard_url_file"] = str(file)
    path = fed.folder / f"{kit.name}.json"
    path.write_text(config.model_copy(update=changes).model_dump_json(by_alias=True))
    process = subprocess.Popen(
        [sys.executable, "-m", "fedjob_runtime.worker.main", "--config", str(path)],
        env=fed._env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if seconds:
        assert process.stdout is not None
        output = process.stdout.readline()
        process.terminate()
        process.communicate()
    else:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 64, output
        assert json.loads((home / "worker.json").read_text())["state"] == "Failed"
    assert not (home / "shard").exists()
    return output


def handshake(port: int, kit: Path | None, root: Path) -> str:
    """What the server does to a client with that kit's certificate: `taken` or why it was not."""
    context = ssl.create_default_context(cafile=str(root))
    context.set_alpn_protocols(["h2"])
    if kit is not None:
        context.load_cert_chain(kit / "client.crt", kit / "client.key")
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            return "taken" if secure.recv(9) else "cut off"
    except ssl.SSLError as error:
        return str(error.reason)
    except OSError as error:
        return type(error).__name__


def rogue_client(fed: Federation, kit: Path, name: str) -> subprocess.Popen[bytes]:
    """NVFlare's own client, without fedjob's checks, under a name that is not its certificate's."""
    site = fed.folder / f"site-of-{kit.name}"
    prepare_site(kit, site, {"format_version": 2, "client": {"retry_timeout": 30}})
    document = json.loads((site / "startup/fed_client.json").read_text())
    document["client"]["fqsn"] = name
    (site / "startup/fed_client.json").write_text(json.dumps(document))
    command = [sys.executable, "-m", "nvflare.private.fed.app.client.client_train"]
    command += ["-m", str(site), "-s", "fed_client.json", "--set", "secure_train=true"]
    command += [f"uid={name}", "org=fedjob", "config_folder=config"]
    with (fed.folder / "rogue.log").open("wb") as log:
        return subprocess.Popen(command, env=fed._env(), stdout=log, stderr=subprocess.STDOUT)


def with_certificate(fed: Federation, name: str, certificate: bytes) -> Path:
    """worker-1's kit with another certificate."""
    kit = Path(shutil.copytree(fed.folder / "kits/worker-1", fed.folder / f"kit-{name}"))
    (kit / "client.crt").write_bytes(certificate)
    return kit


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_strangers_are_refused_by_name_and_the_run_goes_on(
    federation: Callable[..., Federation],
) -> None:
    """Certificates, kits, another's shard, 10,000 connections, a model altered in the store."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard > 1.2 * CONNECTIONS, f"this machine allows {hard} open files only: raise it"
    fed = federation(
        MODEL,
        [2, 2],
        federation={"num_rounds": 400, "min_clients": 2, "wait_time_after_min_received": 300},
    )
    authority = Authority("job")
    authority.take_over(fed.folder / "kits")
    root = fed.folder / "kits/worker-1/rootCA.pem"
    own = certificate_in(fed.folder / "kits/worker-1/client.crt")

    # A server that gets no more open files than most machines give.
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    fed.start("server")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with fed.kept_restarting("worker-0", "worker-1"):
        fed.start("worker-0", "worker-1")
        fed.until(lambda s: s.completed >= 1, what="the first round")
        knock(fed, authority, own, root)
        ask_for_anothers_shard(fed)
        unpack_evil_shards(fed)
        flood(fed)
    alter_the_model(fed)


def knock(fed: Federation, authority: Authority, own: Any, root: Path) -> None:
    """With certificates that are expired, self-made, another's, none."""
    good = fed.folder / "kits/worker-1"
    expired = with_certificate(fed, "expired", authority.issue(own, days=-1))
    self_made = with_certificate(fed, "self-made", Authority("job").issue(own))
    altered = Path(shutil.copytree(good, fed.folder / "kit-altered"))
    another_root = Path(shutil.copytree(good, fed.folder / "kit-root" / "kit-root"))
    Authority("job").take_over(another_root.parent)
    text = (altered / "client.key").read_text()
    (altered / "client.key").write_text(text.replace(text[400:410], text[410:420]))
    mixed = Path(shutil.copytree(fed.folder / "kits/worker-0", fed.folder / "kit-of-worker-0"))

    rogue = rogue_client(fed, good, "worker-0")
    for kit, message in (
        (expired, "client.crt: ended at"),
        (self_made, "client.crt: is not signed by rootCA.pem"),
        (mixed, "client.crt: is the certificate of worker-0, not of worker-1"),
        (altered, "client.key: is not the key of client.crt"),
    ):
        output = worker_output(fed, kit)
        assert f"worker-1: kit file {message}" in output, output
        assert "new ones are made" in output

    # The server itself: the good one is taken, so that the others' refusal says something.
    assert handshake(fed.fl_port, good, root) == "taken"
    for kit in (expired, self_made, None):
        assert handshake(fed.fl_port, kit, root) != "taken", kit
    # A kit whose authority was exchanged does not fall for a server that is not the job's.
    assert "CERTIFICATE_VERIFY_FAILED" in handshake(
        fed.fl_port, another_root, another_root / "rootCA.pem"
    )
    log = fed.folder / "server.log"
    try:
        done = fed.status().completed
        message = "authenticated as 'worker-1' but claimed endpoint 'worker-0'"
        fed.until(lambda s: message in log.read_text() and s.completed > done, what=message)
    finally:
        rogue.kill()
        rogue.wait()
    for message in (
        "CERTIFICATE_VERIFY_FAILED: certificate has expired",
        "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    ):
        assert message in log.read_text()
    status = fed.status()
    assert {c.name: c.restarts for c in status.clients} == {"worker-0": 0, "worker-1": 0}


def ask_for_anothers_shard(fed: Federation) -> None:
    """worker-1's presigned URL, changed to worker-0's object: refused by the store."""
    url = (fed.folder / "worker-1.url").read_text()
    assert "shard-1.zip" in url
    kit = Path(shutil.copytree(fed.folder / "kits/worker-1", fed.folder / "kit-shard"))
    output = worker_output(fed, kit, url=url.replace("shard-1.zip", "shard-0.zip"), seconds=5)
    assert "shard shard-1.zip: the store answered 403" in output, output


def unpack_evil_shards(fed: Federation) -> None:
    """A ZIP bomb and a path out of the folder, as worker-1's shard: the worker unpacks neither."""
    kit = fed.folder / "kits/worker-1"
    for name, entry, body, message in (
        ("bomb", "zeros.bin", bytes(64 << 20), "zeros.bin"),
        ("escape", "../../escaped", b"x", "leaves the shard"),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("manifest.ndjson", '{"id": "a", "uri": "a.txt", "y": 0}\n')
            archive.writestr("a.txt", "x")
            archive.writestr(entry, body)
        key = fed.layout.shard(f"{name}.zip")
        fed.bucket.put_bytes(key, buffer.getvalue())
        mine = Path(shutil.copytree(kit, fed.folder / f"kit-{name}"))
        output = worker_output(fed, mine, url=fed.bucket.presign_get(key))
        assert "shard-1.zip" in output, output
        assert message in output, output
        assert ";" in output, "no fix"
    assert not list(fed.folder.rglob("escaped"))


def flood(fed: Federation) -> None:
    """10,000 connections from two processes; a worker that was killed comes back all the same."""
    parent = fed.pid_of("server", "server_train")
    before = memory(parent)
    command = [sys.executable, "-c", FLOOD, str(fed.fl_port), str(CONNECTIONS // FLOODERS)]
    flooders = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(FLOODERS)
    ]
    try:
        opened = 0
        for process in flooders:
            assert process.stdout is not None
            opened += json.loads(process.stdout.readline())["opened"]
        most = len(os.listdir(f"/proc/{parent}/fd"))
        grown = memory(parent) - before
        assert opened == CONNECTIONS
        for pid, _ in fed.descendants("worker-1"):
            # Its parent's end may have ended it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        done = fed.status().completed
        fed.until(lambda s: s.completed >= done + 2, 240, "rounds with 10,000 connections")
        output = [process.communicate("\n", timeout=120)[0] for process in flooders]
        shed = sum(json.loads(text)["shed"] for text in output)
        print(f"{opened} connections: {most} open files, {grown >> 20} MiB more, {shed} shed")
        assert shed == opened, "the server kept silent strangers"
    finally:
        for process in flooders:
            process.kill()
            process.wait()
    assert fed.pid_of("server", "server_train") == parent, "NVFlare's parent did not survive"
    status = fed.status()
    assert status.retries.get("parent", 0) == 0
    assert len(status.history[-1].participants) == 2


def alter_the_model(fed: Federation) -> None:
    """The last global model changed in S3 while the server was away: it does not go on from it."""
    fed.processes["server"].terminate()
    assert fed.wait_end(60) == 143
    for worker in fed.workers:
        fed.processes[worker].kill()
        fed.processes[worker].wait()
    last = fed.log.commits()[-1]
    key = fed.log.model_key(fed.log.read(last))
    good = fed.bucket.get_bytes(key)
    fed.bucket.put_bytes(key, good[:-1] + bytes([good[-1] ^ 1]))
    fed.start("server")
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert (status.phase, status.reason) == ("Failed", "ChecksumMismatch")
    assert key in status.message
    assert "altered or damaged" in status.message
    assert status.message in (fed.folder / "server.log").read_text()
    assert fed.log.commits()[-1] == last, "nothing was committed on top of it"
    # With the right bytes restored, the run resumes.
    fed.bucket.put_bytes(key, good)
    fed.start()
    fed.until(lambda s: s.completed > last, what="a round after the model was restored")
    assert fed.log.commits() == list(range(fed.log.commits()[-1] + 1))
