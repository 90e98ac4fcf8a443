"""gRPC leaves the processes alone that training code forks."""

import os
import subprocess
import sys

PROGRAM = """
{first}
import os, threading, time
from concurrent import futures
import grpc

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(lambda messages, context: messages)

server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Echo(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
done = threading.Event()

def messages():
    while not done.is_set():
        yield b"message" * 1000

call = grpc.insecure_channel(f"127.0.0.1:{{port}}").stream_stream("/echo/echo")(messages())
next(call)
reader = threading.Thread(target=lambda: [None for _ in call], daemon=True)
reader.start()
for _ in range(60):
    time.sleep(0.005)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
assert reader.is_alive()
os._exit(0)
"""


def handlers_logged(first: str) -> bool:
    """gRPC logs a fork that its handlers see while another thread is inside gRPC."""
    env = {k: v for k, v in os.environ.items() if k != "GRPC_ENABLE_FORK_SUPPORT"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(first=first)],
        env={**env, "GRPC_VERBOSITY": "INFO", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "fork() handlers" in done.stderr


def test_grpc_has_no_fork_handlers_in_our_processes() -> None:
    assert not handlers_logged("import fedjob_runtime")


def test_grpc_alone_has_them() -> None:
    """Without it the test above would prove nothing; one run in ten has no such moment."""
    assert any(handlers_logged("") for _ in range(8))
