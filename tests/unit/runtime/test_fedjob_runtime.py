"""gRPC stays as it is when training code forks, as a DataLoader with workers does."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
{first}
import os
from concurrent import futures
import grpc

server = grpc.server(futures.ThreadPoolExecutor(1))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{{port}}")
grpc.channel_ready_future(channel).result(30)
before = set(os.listdir("/proc/self/task"))
for _ in range(10):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
left = before & set(os.listdir("/proc/self/task"))
# A resolver's thread may end by itself; the handlers end most.
print(2 * len(left) > len(before), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("first", "kept"), [("", False), ("import fedjob_runtime", True)], ids=["grpc", "fedjob"]
)
def test_grpc_has_no_fork_handlers_in_our_processes(first: str, kept: bool) -> None:
    """Its handlers, where they run, end gRPC's threads and start others."""
    env = {k: v for k, v in os.environ.items() if k != "GRPC_ENABLE_FORK_SUPPORT"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(first=first)],
        env={**env, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == [str(kept)], done.stderr
