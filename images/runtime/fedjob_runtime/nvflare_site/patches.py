"""Everything of NVFlare that fedjob replaces or reaches into, in one place.

NVFlare has no setting for what these functions change. `REPLACED` names each place, the reason, and
the test that fails when a release of NVFlare moves it; tests/unit/runtime/nvflare_site/
test_patches.py resolves every name, and checks that the version is the one that was read.

Nothing is replaced by importing this module. NVFlare is imported inside the functions, because each
runs in another process, and only some have torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

VERSION = "2.9.0"
"""The release of NVFlare whose code was read for all of this."""

RUNNER_MODULE = "nvflare.private.fed.app.server.runner_process"
"""NVFlare's program of a server's job process."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """One place in NVFlare.

    Attributes:
        name: Dotted path of a module's or class's attribute.
        why: What would happen without the change.
        test: File below tests/ that fails when the change no longer takes effect.
    """

    name: str
    why: str
    test: str


REPLACED = (
    Replaced(
        "nvflare.app_common.job_launcher.process_launcher.spawn_process",
        "every job process would be a new Python that imports torch again",
        "integration/federation/test_fork_server.py",
    ),
    Replaced(
        RUNNER_MODULE + ".parse_arguments",
        "an error of a job's component would end the process without a report",
        "integration/federation/test_federation_components.py",
    ),
    Replaced(
        "nvflare.private.fed.server.server_app_runner.ServerJsonConfigurator",
        "an error of a component's constructor would be logged and retried for minutes",
        "integration/federation/test_federation_components.py",
    ),
    Replaced(
        "nvflare.app_opt.pt.decomposers.TensorDecomposer.download",
        "an answer could fetch any number of bytes, from any worker",
        "integration/security/test_security_answers.py",
    ),
    Replaced(
        "nvflare.app_opt.pt.decomposers.TensorDecomposer._get_download_kwargs",
        "the replaced download would not get the context with its limit",
        "integration/security/test_security_answers.py",
    ),
    Replaced(
        "nvflare.app_common.decomposers.numpy_decomposers.NumpyArrayDecomposer.download",
        "as for tensors",
        "integration/security/test_security_answers.py",
    ),
    Replaced(
        "nvflare.app_common.decomposers.numpy_decomposers.NumpyArrayDecomposer._get_download_kwargs",
        "as for tensors",
        "integration/security/test_security_answers.py",
    ),
    Replaced(
        "nvflare.fuel.f3.cellnet.cell.Cell.register_blob_cb",
        "an answer that cannot be decoded would end the server's job process",
        "integration/security/test_security_answers.py",
    ),
    Replaced(
        "nvflare.fuel.f3.streaming.blob_streamer.BlobHandler",
        "a message of any size would be received before it is refused",
        "integration/security/test_security_answers.py",
    ),
    Replaced(
        "nvflare.app_common.workflows.base_model_controller.BaseModelController._process_result",
        "a worker's failure, or an answer that NVFlare drops, would not be counted",
        "integration/federation/test_federation_workers.py",
    ),
    Replaced(
        "nvflare.app_common.workflows.base_model_controller.BaseModelController._prepare_task_data",
        "it would not be known which task an undecodable answer belongs to",
        "integration/security/test_security_late_answers.py",
    ),
    Replaced(
        "nvflare.private.fed.server.job_runner.JobRunner.is_client_outcome_pending",
        "a worker's broken connection would look like a training process that ended",
        "integration/federation/test_federation_workers.py",
    ),
    Replaced(
        "nvflare.private.fed.server.client_manager.ClientManager",
        "its `clients` and their last_connect_time are how the supervisor sees who is connected",
        "integration/federation/test_federation_faults.py",
    ),
)


def spawn_job_processes_with(spawn: Callable[[list[str], dict[str, str]], Any]) -> None:
    """In NVFlare's parent processes: job processes are started by `spawn`.

    Args:
        spawn: Takes a command line and an environment; gives what `spawn_process` gives.
    """
    from nvflare.app_common.job_launcher import process_launcher

    process_launcher.spawn_process = spawn


def observe_job_outcomes(job_runner: Any, observed: Callable[[str, str], None]) -> None:
    """In NVFlare's server parent: reports each end of a worker's job process.

    NVFlare's client sends the outcome once the process it started has ended, however it ended. The
    first that the server does with it is to ask whether the outcome is pending; it also asks when
    a heartbeat no longer lists the job. It fails the job before it notes the outcome.

    Args:
        job_runner: NVFlare's.
        observed: Called with the job's id and the worker's name.
    """
    is_pending = job_runner.is_client_outcome_pending

    def asked(job_id: str, client_name: str) -> bool:
        observed(job_id, client_name)
        return bool(is_pending(job_id, client_name))

    job_runner.is_client_outcome_pending = asked


def server_command(command: str, module: str) -> str:
    """NVFlare's command line of a server's job process, with another module.

    Raises:
        RuntimeError: NVFlare's own module is not in it.
    """
    if RUNNER_MODULE not in command:
        raise RuntimeError(
            f"NVFlare starts a server's job process by {command!r}, not by {RUNNER_MODULE}; use "
            f"NVFlare {VERSION}"
        )
    return command.replace(RUNNER_MODULE, module)


def report_configuration_errors(report: Callable[[Exception, Any], None]) -> None:
    """In a server's job process: an error while components are built is reported, then raised.

    NVFlare tells its parent and closes the connection before the error leaves its runner.

    Args:
        report: Called with the error and the runner's arguments.
    """
    from nvflare.private.fed.server import server_app_runner

    class Configurator(server_app_runner.ServerJsonConfigurator):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            self._arguments = keywords["args"]

        def configure(self) -> None:
            try:
                super().configure()
            except Exception as error:
                report(error, self._arguments)
                raise

    server_app_runner.ServerJsonConfigurator = Configurator


def download_with(decomposer: Any, download: Callable[..., Any]) -> None:
    """In a server's job process: references in answers are fetched by `download`.

    On the class: NVFlare registers decomposers before a job's code runs, and each type once.

    Args:
        decomposer: NVFlare's class for a type.
        download: Called with the decomposer, the source, the FOBS context and NVFlare's options.
    """

    def with_context(_decomposer: Any, fobs_ctx: dict[str, Any]) -> dict[str, Any]:
        return {"fobs_ctx": fobs_ctx}

    decomposer.download = download
    decomposer._get_download_kwargs = with_context


def limit_messages(cell: Any, most: int) -> None:
    """In a server's job process: nothing larger is received from now on.

    Args:
        cell: The process's cell.
        most: Bytes.
    """
    from nvflare.fuel.f3.streaming.blob_streamer import BlobHandler

    for callback in cell.byte_receiver.registry.reg.values():
        handler = getattr(callback.cb, "__self__", None)
        if isinstance(handler, BlobHandler):
            handler.max_blob_size = most


def wrap_replies(cell: Any, wrap: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """In a server's job process: replies to its requests pass through another function first.

    Args:
        cell: The process's cell.
        wrap: Gives that function for NVFlare's.
    """
    from nvflare.fuel.f3.cellnet.defs import CellChannel

    replies = cell.byte_receiver.registry.find(CellChannel.RETURN_ONLY, "*").cb.__self__
    replies.blob_cb = wrap(replies.blob_cb)
