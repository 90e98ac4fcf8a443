"""Rows 38 and 41: what a worker's pod holds, can read, and cannot."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from e2e.recorder import give_shards, recorder
from e2e.stage import Stage

pytestmark = pytest.mark.e2e

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def url_secret(stage: Stage, worker: int) -> Any:
    return stage.get("secret", f"own-url-worker-{worker}")


def url_of(secret: Any) -> str:
    return base64.b64decode(secret["data"]["url"]).decode().strip()


def fetch(stage: Stage, url: str) -> tuple[int, bytes]:
    """A GET from outside, with the Host that the pods would send: it is part of the signature."""
    host = f"http://store.{stage.system}.svc.cluster.local:8333"
    assert url.startswith(host)
    request = urllib.request.Request(  # noqa: S310 (ours)
        url.replace(host, stage.endpoint), headers={"Host": host.removeprefix("http://")}
    )
    try:
        with OPENER.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def job(stage: Stage) -> str:
    """A job with two workers that train."""
    give_shards(stage, "own", 4, 8)
    stage.submit("own", **recorder(500, pause=1.0))
    stage.until("own", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    return "own"


def test_a_url_reads_one_shard_and_nothing_else(stage: Stage, job: str) -> None:
    for worker, samples in ((0, 4), (1, 8)):
        status, body = fetch(stage, url_of(url_secret(stage, worker)))
        assert (status, body[:2]) == (200, b"PK")
        assert body.count(b'"id"') in (0, samples)  # deflated or stored
    own, other = (url_of(url_secret(stage, worker)) for worker in (0, 1))
    assert "part-0.zip" in own
    assert "part-1.zip" in other
    assert fetch(stage, own.replace("part-0.zip", "part-1.zip"))[0] == 403
    model = own.replace("shards/part-0.zip", "rounds/1/commit.json")
    assert fetch(stage, model)[0] == 403
    assert fetch(stage, own.partition("?")[0])[0] == 403
    bare = own.partition("?")[0].rpartition("jobs/")[0]
    assert fetch(stage, bare)[0] == 403


def test_a_pod_holds_nothing_of_anothers_and_no_token(stage: Stage, job: str) -> None:
    for item in stage.get("pods", "-l", f"fedjob.dev/job={job}")["items"]:
        name = item["metadata"]["name"]
        site = name.removeprefix(f"{job}-")
        secrets = {v["secret"]["secretName"] for v in item["spec"]["volumes"] if "secret" in v}
        expected = {f"{job}-kit-{site}"}
        expected |= {f"{job}-kit-admin"} if site == "server" else {f"{job}-url-{site}"}
        assert secrets == expected
        assert not any("projected" in volume for volume in item["spec"]["volumes"])
        if site != "server":
            env = json.dumps(item["spec"]["containers"][0].get("env", []))
            assert "AWS_" not in env
            assert "secretKeyRef" not in env
    shell = ("-n", stage.jobs, "exec", f"{job}-worker-0", "--", "sh", "-c")
    assert stage.kubectl(*shell, "ls /var/run/secrets 2>/dev/null || echo none") == "none\n"
    config = stage.kubectl(*shell, "cat /etc/fedjob/config/*")
    assert "part-0.zip" in config
    assert "part-1.zip" not in config


def test_nothing_outside_the_cluster_answers_in_a_services_place(stage: Stage, job: str) -> None:
    """Of the cluster itself (tests/cluster/up): a store out of its endpoints is not mistaken."""
    kinds = stage.get("servicecidrs", namespace="default")["items"]
    network = ipaddress.ip_network(kinds[0]["spec"]["cidrs"][0])
    nobody = str(network[-2])
    code = (
        "import socket\n"
        f"try: socket.create_connection(('{nobody}', 80), 5); print('answered')\n"
        "except OSError as error: print('refused', error)"
    )
    python = ("-n", stage.jobs, "exec", f"{job}-worker-0", "--", "/opt/fedjob/venv/bin/python3")
    assert stage.kubectl(*python, "-c", code).startswith("refused")


def test_a_url_is_renewed_before_it_ends_also_by_the_next_operator(stage: Stage, job: str) -> None:
    """The operator of this stage signs for four minutes, and renews at half of them."""

    def renewed(old: str) -> str:
        deadline = time.monotonic() + 240
        while (url := url_of(url_secret(stage, 1))) == old:
            assert time.monotonic() < deadline, "the URL was not renewed"
            time.sleep(1)
        return url

    pods = stage.pods(job)
    first = url_of(url_secret(stage, 1))
    second = renewed(first)
    # Both read: one is never without a URL.
    assert fetch(stage, first)[0] == 200
    assert fetch(stage, second)[0] == 200
    stage.kill()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    note = f"fedjob.dev/expires={soon}"
    secret = "own-url-worker-1"
    stage.kubectl("-n", stage.jobs, "annotate", "secret", secret, note, "--overwrite")
    stage.start()
    assert fetch(stage, renewed(second))[0] == 200
    assert stage.pods(job) == pods
    stage.delete(job)
    stage.nothing_is_left(job)
