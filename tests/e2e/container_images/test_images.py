"""The images under the nodes' restrictions: no root, no capabilities, read-only root file system.

Needs the cluster (`make cluster`), to whose registry the images are pushed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from fedjob import __version__
from support.repository import ROOT

pytestmark = pytest.mark.e2e

KUBECONFIG = ROOT / ".cache" / "kubeconfig"
RESTRICTED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
HOME = ("--tmpfs", "/var/lib/fedjob:uid=10001,gid=10001,mode=0700")
KEYS = {"AWS_ACCESS_KEY_ID": "fedjob", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}

PACKAGES = {
    "runtime": (("fedjob_runtime", "images/runtime"), ("fedjob.storage", "sdk")),
    "operator": (("fedjob_operator", "operator"), ("fedjob.storage", "sdk")),
}
# Known and harmless: requirements.in explains the missing kubernetes package, and Debian's torch
# is patched for Debian's sympy.
KNOWN_GAPS = {
    "runtime": (
        f"fedjob {__version__} requires kubernetes,",
        "torch 2.6.0+debian has requirement sympy",
    ),
    "operator": (),
}


def run(*command: str | Path, stdin: str | None = None) -> str:
    """Runs a command and returns its output; a failure shows its stderr."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, input=stdin)
    if done.returncode:
        pytest.fail(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """Image references by digest, built from this tree; keys runtime, operator, store."""
    pushed = run(ROOT / "tests/cluster/images").split()
    return {reference.partition("@")[0].rpartition("/")[2]: reference for reference in pushed}


def inside(image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    """Runs a command in a container with the rights of a pod in a restricted namespace."""
    return run("docker", "run", "--rm", *RESTRICTED, *HOME, *options, image, *command)


@pytest.mark.parametrize("name", ["runtime", "operator", "store"])
def test_image_is_labelled_and_not_root(images: dict[str, str], name: str) -> None:
    [found] = json.loads(run("docker", "image", "inspect", images[name]))
    config = found["Config"]
    labels = {
        key.removeprefix("org.opencontainers.image."): v for key, v in config["Labels"].items()
    }
    assert config["User"] == "10001:10001"
    assert labels["title"] == f"fedjob {name}"
    assert labels["licenses"] == "Apache-2.0"
    assert f'version = "{labels["version"]}"' in (ROOT / "pyproject.toml").read_text()
    assert labels["description"]
    assert not [entry for entry in config["Env"] if entry.startswith(("PIP_", "http"))]


@pytest.mark.parametrize(
    ("name", "megabytes"), [("runtime", 1400), ("operator", 600), ("store", 200)]
)
def test_image_is_small(images: dict[str, str], name: str, megabytes: int) -> None:
    size = int(run("docker", "image", "inspect", "-f", "{{.Size}}", images[name]))
    assert size < megabytes * 1_000_000


@pytest.mark.parametrize("name", ["runtime", "operator"])
def test_python_packages_are_compatible(images: dict[str, str], name: str) -> None:
    command = ("docker", "run", "--rm", *RESTRICTED, *HOME, images[name], "pip", "check")
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(KNOWN_GAPS[name])]
    assert lines in ([], ["No broken requirements found."]), done.stderr


HOLDS = {
    "runtime": ["pkg:pypi/nvflare@", "pkg:pypi/fedjob@", "pkg:deb/debian/python3-torch@"],
    "operator": ["pkg:pypi/kopf@", "pkg:pypi/fedjob@", "pkg:deb/debian/tini@"],
    "store": ["pkg:golang/github.com/seaweedfs/seaweedfs@", "pkg:golang/stdlib@"],
}


@pytest.mark.parametrize("name", ["runtime", "operator", "store"])
def test_sbom_is_valid_and_holds_what_the_lock_file_names(
    images: dict[str, str], name: str
) -> None:
    text = run(sys.executable, ROOT / "images/sbom.py", images[name])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = {component["purl"] for component in json.loads(text)["components"]}
    for start in HOLDS[name]:
        assert any(purl.startswith(start) for purl in found), start
    if name != "store":
        lock = (ROOT / f"images/{name}/requirements.txt").read_text()
        pins = re.findall(r"^(\S+)==(\S+) ", lock, re.MULTILINE)
        wanted = {f"pkg:pypi/{canonicalize_name(package)}@{version}" for package, version in pins}
        assert wanted
        assert wanted <= found


@pytest.mark.parametrize("name", ["runtime", "operator"])
def test_every_module_of_the_tree_imports(images: dict[str, str], name: str) -> None:
    modules = [
        ".".join(path.relative_to(ROOT / root).with_suffix("").parts).removesuffix(".__init__")
        for package, root in PACKAGES[name]
        for path in sorted((ROOT / root / package.replace(".", "/")).rglob("*.py"))
        if "templates" not in path.parts
    ]
    imports = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    inside(images[name], "python", "-c", imports, *modules)


def test_runtime_trains_and_writes_only_to_its_home(images: dict[str, str]) -> None:
    program = """
import os, pathlib, tempfile, torch
assert os.getuid() == os.getgid() == 10001, os.getuid()
generator = torch.Generator().manual_seed(7)
a = torch.randn(200, 200, generator=generator)
assert torch.allclose(a @ a, (a.double() @ a.double()).float(), rtol=1e-4, atol=1e-4)
layer = torch.nn.Conv2d(3, 4, 3)
layer(torch.randn(2, 3, 8, 8)).sum().backward()
assert layer.weight.grad.isfinite().all()
assert tempfile.gettempdir() == str(pathlib.Path.home()) == "/var/lib/fedjob"
pathlib.Path.home().joinpath("kept").write_text("written")
try:
    pathlib.Path("/opt/fedjob/job").mkdir()
except OSError:
    print("shut")
"""
    assert inside(images["runtime"], "python", "-c", program).strip() == "shut"


def test_runtime_finds_the_job_layer_and_its_commands(
    images: dict[str, str], tmp_path: Path
) -> None:
    custom = tmp_path / "app" / "custom"
    custom.mkdir(parents=True)
    (custom / "model_def.py").write_text("ORIGIN = 'the job layer'\n")
    tmp_path.chmod(0o755)
    mount = ("-v", f"{tmp_path}:/opt/fedjob/job:ro")
    program = (
        "import model_def, shutil; print(model_def.ORIGIN); "
        "assert shutil.which('fedjob-server') and shutil.which('fedjob-worker')"
    )
    output = inside(images["runtime"], "python", "-c", program, options=mount)
    assert output.strip() == "the job layer"


def test_runtime_forwards_sigterm(images: dict[str, str]) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(3)); "
        "print('on', flush=True); time.sleep(600)"
    )
    container = run(
        "docker", "run", "-d", *RESTRICTED, *HOME, images["runtime"], "python", "-c", program
    ).strip()
    try:
        while run("docker", "logs", container).strip() != "on":
            time.sleep(0.1)
        run("docker", "stop", "-t", "60", container)
        assert run("docker", "inspect", "-f", "{{.State.ExitCode}}", container).strip() == "3"
    finally:
        run("docker", "rm", "-fv", container)


def test_operator_makes_kits_without_torch(images: dict[str, str]) -> None:
    script = """
set -eu
! python -c 'import torch' 2>/dev/null
python -m fedjob_runtime.nvflare_site.provisioning --out kits --server-name server --fl-port 8002 \\
  --worker worker-0 >/dev/null
ls kits kits/server
"""
    listed = inside(images["operator"], "sh", "-c", script).split()
    assert {"admin", "server", "worker-0", "rootCA.pem", "server.crt", "server.key"} <= set(listed)


class Store:
    """A container of the store's image, with a volume that survives restarts."""

    def __init__(self, image: str, keys: dict[str, str]) -> None:
        settings = [option for key, value in keys.items() for option in ("-e", f"{key}={value}")]
        self.container = run(
            *("docker", "run", "-d", *RESTRICTED, "-v", "/data", *settings),
            *("-p", "127.0.0.1::8333", image),
        ).strip()
        self.wait()

    def wait(self) -> None:
        """Waits until it answers; fails with its log if it has ended."""
        self.url = "http://" + run("docker", "port", self.container, "8333").split()[0]
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz"):  # noqa: S310
                    return
            except OSError:
                state = run("docker", "inspect", "-f", "{{.State.Running}}", self.container)
                assert state.strip() == "true", run("docker", "logs", self.container)
                time.sleep(0.2)

    def client(self):  # type: ignore[no-untyped-def]
        """An S3 client that retries, since volumes open some seconds after /healthz answers."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 12, "mode": "standard"}),
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )


@pytest.fixture(scope="module")
def store_container(images: dict[str, str]) -> Iterator[Store]:
    store = Store(images["store"], KEYS)
    yield store
    run("docker", "rm", "-fv", store.container)


def test_store_keeps_objects_when_it_is_killed(store_container: Store) -> None:
    client = store_container.client()
    client.create_bucket(Bucket="kept")
    client.put_object(Bucket="kept", Key="model", Body=b"weights")
    run("docker", "kill", store_container.container)
    run("docker", "start", store_container.container)
    store_container.wait()
    assert (
        store_container.client().get_object(Bucket="kept", Key="model")["Body"].read() == b"weights"
    )


def test_store_refuses_requests_without_keys(store_container: Store) -> None:
    store_container.client().create_bucket(Bucket="shut")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{store_container.url}/shut?list-type=2")  # noqa: S310


def test_store_without_keys_refuses_all_requests(images: dict[str, str]) -> None:
    store = Store(images["store"], {})
    try:
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            store.client().create_bucket(Bucket="open")
    finally:
        run("docker", "rm", "-fv", store.container)


def test_only_the_s3_port_of_the_store_is_reachable(
    images: dict[str, str], store_container: Store
) -> None:
    """Master, volume server and filer have no authentication: other pods must not reach them."""
    program = """
import socket, sys
for port in map(int, sys.argv[2:]):
    try:
        socket.create_connection((sys.argv[1], port), timeout=5).close()
        print(port)
    except ConnectionRefusedError:
        pass
"""
    ports = ["8333", *(str(p + extra) for p in (9333, 8080, 8888) for extra in (0, 10_000))]
    address = run(
        *("docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", store_container.container)
    ).strip()
    assert inside(images["operator"], "python", "-c", program, address, *ports).split() == ["8333"]


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that enforces the Pod Security standard `restricted`."""
    name = f"images-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    return run("kubectl", "--kubeconfig", KUBECONFIG, *arguments, stdin=stdin)


def test_node_pulls_and_runs_the_image_in_a_restricted_namespace(
    images: dict[str, str], namespace: str
) -> None:
    """By digest, with the registry's name inside the cluster."""
    reference = images["operator"].replace("localhost", "fedjob-registry", 1)
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "smoke", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
                "fsGroup": 10001,
            },
            "volumes": [{"name": "home", "emptyDir": {}}],
            "containers": [
                {
                    "name": "smoke",
                    "image": reference,
                    "command": ["sh", "-c", "touch kept && id -u"],
                    "securityContext": {**security, "readOnlyRootFilesystem": True},
                    "volumeMounts": [{"name": "home", "mountPath": "/var/lib/fedjob"}],
                }
            ],
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    ended = ("--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s", "pod/smoke")
    kubectl("-n", namespace, "wait", *ended)
    assert kubectl("-n", namespace, "logs", "smoke").strip() == "10001"
