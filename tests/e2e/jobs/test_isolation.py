"""Rows 38 and 41: what a worker's pod holds, and what it can and cannot read."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment
from e2e.cluster_access.recorder import recorder, upload_shards

pytestmark = pytest.mark.e2e

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def url_secret(deployment: OperatorDeployment, worker: int) -> Any:
    return deployment.get("secret", f"own-url-worker-{worker}")


def url_of(secret: Any) -> str:
    return base64.b64decode(secret["data"]["url"]).decode().strip()


def fetch(deployment: OperatorDeployment, url: str) -> tuple[int, bytes]:
    """A GET from outside, with the pods' Host header: the signature covers it."""
    host = f"http://store.{deployment.system}.svc.cluster.local:8333"
    assert url.startswith(host)
    request = urllib.request.Request(  # noqa: S310 (ours)
        url.replace(host, deployment.endpoint), headers={"Host": host.removeprefix("http://")}
    )
    try:
        with OPENER.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def job(deployment: OperatorDeployment) -> str:
    """A job whose two workers are training."""
    upload_shards(deployment, "own", 4, 8)
    deployment.submit("own", **recorder(500, pause=1.0))
    deployment.until("own", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    return "own"


def test_presigned_url_reads_one_shard_and_nothing_else(
    deployment: OperatorDeployment, job: str
) -> None:
    for worker, samples in ((0, 4), (1, 8)):
        status, body = fetch(deployment, url_of(url_secret(deployment, worker)))
        assert (status, body[:2]) == (200, b"PK")
        assert body.count(b'"id"') in (0, samples)  # deflated or stored
    own, other = (url_of(url_secret(deployment, worker)) for worker in (0, 1))
    assert "part-0.zip" in own
    assert "part-1.zip" in other
    assert fetch(deployment, own.replace("part-0.zip", "part-1.zip"))[0] == 403
    model = own.replace("shards/part-0.zip", "rounds/1/commit.json")
    assert fetch(deployment, model)[0] == 403
    assert fetch(deployment, own.partition("?")[0])[0] == 403
    bare = own.partition("?")[0].rpartition("jobs/")[0]
    assert fetch(deployment, bare)[0] == 403


def test_pod_holds_no_other_pods_secrets_and_no_token(
    deployment: OperatorDeployment, job: str
) -> None:
    for item in deployment.get("pods", "-l", f"fedjob.dev/job={job}")["items"]:
        name = item["metadata"]["name"]
        site = name.removeprefix(f"{job}-")
        secrets = {v["secret"]["secretName"] for v in item["spec"]["volumes"] if "secret" in v}
        expected = {f"{job}-kit-{site}"}
        expected |= {f"{job}-kit-admin"} if site == "server" else {f"{job}-url-{site}"}
        assert secrets == expected
        assert not any("projected" in volume for volume in item["spec"]["volumes"])
        containers = [*item["spec"].get("initContainers", []), *item["spec"]["containers"]]
        env = json.dumps([c.get("env", []) for c in containers if c["name"] != "supervisor"])
        assert "AWS_" not in env
        assert "secretKeyRef" not in env
    shell = ("-n", deployment.jobs, "exec", f"{job}-worker-0", "--", "sh", "-c")
    assert deployment.kubectl(*shell, "ls /var/run/secrets 2>/dev/null || echo none") == "none\n"
    config = deployment.kubectl(*shell, "cat /etc/fedjob/config/*")
    assert "part-0.zip" in config
    assert "part-1.zip" not in config


def test_authors_code_on_the_server_finds_no_keys(deployment: OperatorDeployment, job: str) -> None:
    """A shell in its container can do what the job process can: same user, same files."""

    def run(container: str, script: str, given: str = "") -> str:
        shell = ("-n", deployment.jobs, "exec", "-i", f"{job}-server", "-c", container)
        return deployment.kubectl(*shell, "--", "sh", "-c", script, given=given)

    users = [run(container, "id -u").strip() for container in ("supervisor", "federation")]
    assert users == ["10002", "10001"]
    # The supervisor's own environment, in which they must be found: else this test proves nothing.
    keys = run("supervisor", "printenv AWS_SECRET_ACCESS_KEY")
    assert keys.strip()
    assert keys in run("supervisor", "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | cut -d= -f2-")

    processes = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"
    seen = run("federation", processes)
    assert "fedjob-server-agent" in seen
    assert "AWS_" not in seen
    assert keys.strip() not in seen
    # The pattern comes by standard input: on a command line grep would find itself.
    files = "grep -rlsF -f - / --exclude-dir=proc --exclude-dir=sys || echo none"
    assert run("federation", files, given=keys) == "none\n"
    own = run("federation", "echo found > $HOME/own; grep -rlsF -f - $HOME", given="found\n")
    assert own == "/work/own\n", "what is there is found"
    # What the supervisor writes can be read and not changed, and the other way round.
    assert "control.json" in run("federation", "ls /run/fedjob/orders")
    assert run("federation", "touch /run/fedjob/orders/x 2>/dev/null || echo refused") == (
        "refused\n"
    )
    assert "clients.json" in run("supervisor", "ls /run/fedjob/reports")
    assert run("supervisor", "touch /run/fedjob/reports/x 2>/dev/null || echo refused") == (
        "refused\n"
    )
    assert run("federation", "ls /var/run/secrets 2>/dev/null || echo none") == "none\n"
    assert sorted(run("federation", "ls /etc/fedjob").split()) == ["admin", "config", "kit"]
    assert run("supervisor", "ls /etc/fedjob") == "config\n"


def test_unserved_service_address_is_refused_inside_the_cluster(
    deployment: OperatorDeployment, job: str
) -> None:
    """Checks tests/cluster/up: traffic to a Service without endpoints must not leave the node."""
    kinds = deployment.get("servicecidrs", namespace="default")["items"]
    network = ipaddress.ip_network(kinds[0]["spec"]["cidrs"][0])
    nobody = str(network[-2])
    code = (
        "import socket\n"
        f"try: socket.create_connection(('{nobody}', 80), 5); print('answered')\n"
        "except OSError as error: print('refused', error)"
    )
    python = (
        "-n",
        deployment.jobs,
        "exec",
        f"{job}-worker-0",
        "--",
        "/opt/fedjob/venv/bin/python3",
    )
    assert deployment.kubectl(*python, "-c", code).startswith("refused")


def test_presigned_url_is_renewed_before_it_expires_also_by_a_new_operator(
    deployment: OperatorDeployment, job: str
) -> None:
    """This deployment's URLs are valid for four minutes and are renewed after two."""

    def renewed(old: str) -> str:
        deadline = time.monotonic() + 240
        while (url := url_of(url_secret(deployment, 1))) == old:
            assert time.monotonic() < deadline, "the URL was not renewed"
            time.sleep(1)
        return url

    pods = deployment.pods(job)
    first = url_of(url_secret(deployment, 1))
    second = renewed(first)
    # Both are valid: a worker always has a working URL.
    assert fetch(deployment, first)[0] == 200
    assert fetch(deployment, second)[0] == 200
    deployment.kill()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    note = f"fedjob.dev/expires={soon}"
    secret = "own-url-worker-1"
    deployment.kubectl("-n", deployment.jobs, "annotate", "secret", secret, note, "--overwrite")
    deployment.start()
    assert fetch(deployment, renewed(second))[0] == 200
    assert deployment.pods(job) == pods
    deployment.delete(job)
    deployment.wait_until_gone(job)
