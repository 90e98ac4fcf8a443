"""One start of a local run: store, upload, kits, processes, and watching them to their end."""

from __future__ import annotations

import json
import os
import time
import uuid
from contextlib import ExitStack

from fedjob.atomic_files import write_text
from fedjob.engines.local.config import server_config, worker_configs, write_config
from fedjob.engines.local.handle import LiveRun
from fedjob.engines.local.interruption import Interrupt, Interruption
from fedjob.engines.local.observer import RunObserver, Step
from fedjob.engines.local.processes.commands import Commands
from fedjob.engines.local.processes.environment import process_environment
from fedjob.engines.local.processes.orphans import RUN_FOLDER, RUN_ID, kill_marked
from fedjob.engines.local.processes.processes import Child, Guard, stop
from fedjob.engines.local.processes.supervision import End, Limits, Supervision
from fedjob.engines.local.results.delivery import deliver
from fedjob.engines.local.results.outcome import outcome_of
from fedjob.engines.local.results.report_files import facts_of, note_commits, note_facts
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.server_status import StatusFollower, read_file
from fedjob.engines.local.startup_kits import make_kits
from fedjob.engines.local.store.embedded_store import EmbeddedStore, StoreStartError
from fedjob.engines.local.store.ports import Ports
from fedjob.engines.local.store.shard_urls import ShardUrls
from fedjob.engines.result import RunResult
from fedjob.preparation.prepared import PreparedRun
from fedjob.preparation.startup_kits import KitsRequest
from fedjob.protocol.config import ENV_FORK_SERVER
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.reasons import Reason
from fedjob.storage.bucket import Bucket
from fedjob.storage.job_upload import upload, upload_plan
from fedjob.storage.layout import Layout

TICK = 0.2
"""Seconds between checks of the processes."""
_STEPS = {RunPhase.TRAINING: Step.TRAIN, RunPhase.FINISHING: Step.FINISH}


class LocalRun:
    """Everything that one `fedjob run` starts, and its end.

    Attributes:
        status: The server's last status.
    """

    def __init__(
        self,
        prepared: PreparedRun,
        folder: RunFolder,
        observer: RunObserver,
        commands: Commands,
        interruption: Interruption,
    ) -> None:
        self.status: ServerStatus | None = None
        self._prepared = prepared
        self._folder = folder
        self._observer = observer
        self._commands = commands
        self._interruption = interruption
        self._run_id = uuid.uuid4().hex
        self._began = time.monotonic()
        meta = prepared.job.metadata
        self._layout = Layout(meta.namespace, meta.name)
        self._env = process_environment(
            os.environ,
            run_id=self._run_id,
            folder=folder.state,
            workers=len(prepared.workers),
            cpus=os.cpu_count() or 1,
            python_path=prepared.python_path,
        )
        self._env[ENV_FORK_SERVER] = f"fedjob-{self._run_id}"

    def run(self) -> RunResult:
        """Start everything, wait for the end, deliver the results; leaves no process behind."""
        with ExitStack() as stack:
            try:
                return self._run(stack)
            except Interrupt as interrupt:
                self._observer.note(
                    f"{interrupt}: stopping; a second signal kills at once", warning=True
                )
                raise
            finally:
                # From here on a signal can only hurry the clean-up.
                self._interruption.close()

    def _run(self, stack: ExitStack) -> RunResult:
        stack.callback(self._sweep, Guard(self._run_id))
        self._start_fork_server(stack)
        ports = stack.enter_context(Ports())
        self._observer.step(Step.UPLOAD)
        store = EmbeddedStore(
            self._folder.store,
            self._folder.log("store"),
            environment={RUN_ID: self._run_id, RUN_FOLDER: str(self._folder.state)},
        )
        stack.callback(store.stop)
        store.start()
        bucket = stack.enter_context(Bucket(store.location, store.credentials))
        note_facts(self._folder, facts_of(self._prepared))
        self._upload(bucket)
        self._observer.step(Step.START)
        http_port = ports.take()
        supervision = self._prepare(store, ports.take(), http_port)
        urls = self._urls(bucket)
        urls.renew()
        live = LiveRun(pid=os.getpid(), http_port=http_port)
        write_text(self._folder.live, live.model_dump_json(by_alias=True))
        follower = StatusFollower(http_port, lambda status: self._update(status, supervision))
        # In reverse: the processes end first, so that no poll has to be waited for.
        stack.callback(follower.stop)
        stack.callback(self._stop, supervision)
        supervision.start()
        follower.start()
        end = self._watch(store, supervision, urls)
        self._read_last_status()
        self._observer.step(Step.FINISH)
        seconds = time.monotonic() - self._began
        outcome = outcome_of(end, self.status, supervision.restarts, seconds)
        return deliver(self._prepared, self._folder, bucket, self._layout, outcome)

    def _start_fork_server(self, stack: ExitStack) -> None:
        """It imports torch while everything else is prepared; without it each site would, later."""
        argv = [*self._commands.fork_server, self._env[ENV_FORK_SERVER]]
        fork_server = Child("fork-server", argv, self._env, self._folder.log("fork-server"))
        # The processes that it has forked end with it, so it ends after the sites.
        stack.callback(stop, [fork_server])
        fork_server.start()

    def _upload(self, bucket: Bucket) -> None:
        shards = {shard.name: shard.path for shard in self._prepared.shards}
        if self._prepared.validation is not None:
            shards[self._prepared.validation.name] = self._prepared.validation.path
        plan = upload_plan(self._layout, self._folder.job, shards, self._prepared.checkpoint)
        upload(bucket, self._layout, plan, self._observer.uploaded)

    def _prepare(self, store: EmbeddedStore, fl_port: int, http_port: int) -> Supervision:
        folder, commands = self._folder, self._commands
        request = KitsRequest(
            project=self._prepared.job.metadata.name,
            server_name="localhost",
            hosts=["127.0.0.1"],
            fl_port=fl_port,
            workers=list(self._prepared.workers),
        )
        make_kits(
            request, folder.kits, command=commands.kits, env=self._env, log=folder.log("kits")
        )
        server_file = write_config(
            folder.config("server"),
            server_config(self._prepared, folder, store.location, http_port),
        )
        # The last status of an earlier start must not be taken for this one's.
        folder.server_status.unlink(missing_ok=True)
        # Through a pipe: a process of the model's author may read the environment of this one.
        keys = json.dumps(store.credentials.environment()).encode()
        options = ["--config", str(server_file)]
        server = self._child(
            "server", [*commands.server, *options, "--credentials-fd", "0"], stdin=keys
        )
        agent = Child(
            "server-agent",
            [*commands.agent, *options],
            self._env,
            folder.log("server"),
            folder.home("server"),
            marked=False,
        )
        workers = []
        for name, config in worker_configs(self._prepared, folder).items():
            file = write_config(folder.config(name), config)
            folder.worker_state(name).unlink(missing_ok=True)
            workers.append(self._child(name, [*commands.worker, "--config", str(file)]))
        spec = self._prepared.job.spec
        limits = Limits(
            min_clients=spec.federation.min_clients,
            max_restarts=spec.workers.max_restarts,
            backoff_limit=spec.run_policy.backoff_limit,
        )
        return Supervision(
            server=server,
            workers=workers,
            limits=limits,
            observer=self._observer,
            reported_failure=self._reported_failure,
            failure_of=self._failure_of,
            agent=agent,
        )

    def _child(self, name: str, argv: list[str], stdin: bytes = b"") -> Child:
        folder = self._folder
        return Child(name, argv, self._env, folder.log(name), folder.home(name), stdin=stdin)

    def _urls(self, bucket: Bucket) -> ShardUrls:
        keys = {
            self._folder.url_file(name): self._layout.shard(shard.name)
            for name, shard in self._prepared.workers.items()
        }
        return ShardUrls(bucket, keys)

    def _watch(self, store: EmbeddedStore, supervision: Supervision, urls: ShardUrls) -> End:
        deadline = self._prepared.job.spec.run_policy.active_deadline_seconds
        while True:
            end = supervision.tick()
            if end is not None:
                return end
            if self.status is not None and self.status.phase is RunPhase.COMPLETE:
                # The results are published; the server shuts its clients down while we fetch them.
                return End(complete=True)
            self._interruption.check()
            try:
                if store.ensure_running():
                    self._observer.note("the store ended and was restarted", warning=True)
            except StoreStartError as error:
                # About one start in fifteen after a kill hangs; the next one works. Meanwhile the
                # server waits for the store.
                self._observer.note(f"the store did not restart: {error}", warning=True)
            urls.renew()
            if deadline is not None and time.monotonic() - self._began > deadline:
                message = (
                    f"the run took longer than spec.runPolicy.activeDeadlineSeconds "
                    f"({deadline} s); raise it and run again to resume after the last "
                    f"committed round"
                )
                return End(complete=False, message=message, reason=Reason.DEADLINE_EXCEEDED)
            time.sleep(TICK)

    def _update(self, status: ServerStatus, supervision: Supervision) -> None:
        before = self.status.completed if self.status is not None else 0
        self.status = status
        if status.phase in _STEPS:
            self._observer.step(_STEPS[status.phase])
        if status.completed > before:
            supervision.round_committed()
        note_commits(self._folder, status.history)
        self._observer.status(status)

    def _reported_failure(self) -> bool:
        status = read_file(self._folder.server_status)
        return status is not None and status.phase is RunPhase.FAILED

    def _failure_of(self, name: str) -> str:
        try:
            state = json.loads(self._folder.worker_state(name).read_bytes())
        except (OSError, ValueError):
            return ""
        failed = isinstance(state, dict) and state.get("state") == "Failed"
        return str(state.get("message", "")) if failed else ""

    def _read_last_status(self) -> None:
        status = read_file(self._folder.server_status)
        if status is not None:
            self.status = status
            self._observer.status(status)

    def _stop(self, supervision: Supervision) -> None:
        stop(supervision.children, hurry=lambda: self._interruption.hurry)

    def _sweep(self, guard: Guard) -> None:
        guard.release()
        kill_marked(RUN_ID, self._run_id)
        self._folder.live.unlink(missing_ok=True)
