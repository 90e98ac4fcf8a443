"""`ResonTech`: the service's client, over the clients of fedjob."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import yaml

from fedjob.client.from_model import ModelLike
from fedjob.client.local import DEFAULT_OUT, LocalClient
from fedjob.client.run import Run, Runs
from fedjob.compat.configs import ResonTechConfig
from fedjob.compat.ignored import check_known, warn_of_ignored
from fedjob.compat.jobs import JobArguments
from fedjob.engines.result import RunResult
from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models.status import JobState

ENGINE = "FEDJOB_ENGINE"
"""Environment variable that decides where scripts run, whatever their base_url says: `local`,
`local://DIR`, or `kubernetes` for what kubectl uses."""
LOCAL = "local"


class JobClient(Protocol):
    """What this module needs of a client of fedjob."""

    def submit(self, job: Any, *, shards: str | Path | None = None) -> Run:
        """Start a job."""

    def get(self, name: str) -> Run:
        """Find a run."""

    def list(self) -> Runs:
        """Every run."""


class RTJob:
    """A submitted job.

    Examples:
        >>> job = client.rt_submit(Net, "digits", "shards/")
        >>> job.wait().state
        <RunState.COMPLETE: 'Complete'>
        >>> job.status
        <JobState.COMPLETE: 'Complete'>
    """

    def __init__(self, run: Run, dashboard_url: str) -> None:
        """Wraps a run.

        Args:
            run: Of fedjob.
            dashboard_url: Where it can be looked at.
        """
        self.run = run
        self.dashboard_url = dashboard_url

    @property
    def name(self) -> str:
        """Of the job.

        Examples:
            >>> job.name
            'digits'
        """
        return self.run.name

    @property
    def job_id(self) -> str:
        """`namespace/name`, which identifies the job in its cluster.

        Examples:
            >>> job.job_id
            'default/digits'
        """
        return f"{self.run.namespace}/{self.run.name}"

    @property
    def status(self) -> JobState:
        """The state in one word, such as `Training` or `Complete`.

        Examples:
            >>> str(job.status)
            'Complete'
        """
        return self.run.status().state

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait for the end.

        Args:
            timeout: Seconds at most; None waits for as long as it takes.

        Raises:
            RunFailedError: The job failed, with its reason and what to do.
            UnavailableError: It is still running after `timeout` seconds, or was stopped.

        Examples:
            >>> job.wait().load()["bias"].shape
            torch.Size([2])
        """
        return self.run.wait(timeout)

    def logs(self, site: str = "server") -> Iterator[str]:
        """The lines that `server` or `worker-<i>` has printed.

        Examples:
            >>> next(job.logs("worker-0"))
            '2026-01-02T03:00:30Z epoch 1 loss 0.5'
        """
        return self.run.logs(site)

    def cancel(self) -> None:
        """Stop the job; delivered results stay.

        Examples:
            >>> job.cancel()
        """
        self.run.cancel()

    def __repr__(self) -> str:
        return f"<RTJob {self.job_id} {self.dashboard_url}>"

    def _repr_html_(self) -> str:
        return self.run._repr_html_()


class ResonTech(AbstractContextManager["ResonTech"]):
    """The service's client: here it submits to a cluster of your own, or runs on this machine.

    Examples:
        >>> with ResonTech(ResonTechConfig(base_url="local")) as client:
        ...     job = client.rt_submit(Net, "digits", "shards/")
        >>> job.dashboard_url
        'file:///.../fedjob-out/digits/report.html'
    """

    def __init__(self, config: ResonTechConfig | None = None, **settings: Any) -> None:
        """Connects to nothing yet.

        Args:
            config: How to reach the place where jobs run; None: from `settings`.
            **settings: The fields of `ResonTechConfig`.

        Raises:
            WorkspaceError: The config asks for SFTP.
            InvalidInputError: base_url or FEDJOB_ENGINE is not a place that fedjob knows.
        """
        self.config = config if config is not None else ResonTechConfig(**settings)
        self._warned = False
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._place = place_of(self.config)
        self._client: JobClient | None = None

    def login(self) -> ResonTech:
        """Check that the place can be reached with these credentials.

        Returns:
            The client itself.

        Raises:
            UnavailableError: It cannot be reached, refuses the token, or lacks the packages of a
                local run.

        Examples:
            >>> ResonTech(ResonTechConfig(base_url="local")).login().config.base_url
            'local'
        """
        self._connected().list()
        return self

    def rt_submit(
        self,
        model: ModelLike,
        name: str | None = None,
        shards_dir: str | Path | None = None,
        *,
        requirements_txt: str | Path | list[str] | None = None,
        **more: Any,
    ) -> RTJob:
        """Submit a model and its shards: renders, packages, uploads and starts (row 1).

        Args:
            model: The model class, or the path of its model_def.py.
            name: Of the job.
            shards_dir: Folder of the shard ZIPs: one worker each.
            requirements_txt: A requirements.txt, or a list of requirements.
            **more: training, federation, model_config, executor, persistor, model_checkpoint,
                files. What prices or picks workers is accepted with one warning.

        Raises:
            InvalidJobError: Every fault of the job, its model and its shards, each with a fix.
            UnavailableError: The place cannot be reached, or refuses the job.

        Examples:
            >>> training = TrainingConfig(local_epochs=2)
            >>> client.rt_submit(Net, "digits", "shards/", training=training).name
            'digits'
        """
        taken = {key: more.pop(key) for key in list(more) if key in JobArguments.__annotations__}
        check_known(more, "rt_submit")
        arguments = JobArguments(name=name, requirements_txt=requirements_txt, **taken)
        ignored = [*more, *arguments.ignored, *self.config.ignored]
        warn_of_ignored(ignored)
        job = arguments.job(model, self.config.email)
        run = self._connected().submit(job, shards=shards_dir)
        return RTJob(run, self._dashboard(run))

    def get_job(self, name: str) -> RTJob:
        """The job of a name, whoever submitted it.

        Examples:
            >>> client.get_job("digits").status
            <JobState.COMPLETE: 'Complete'>
        """
        run = self._connected().get(name)
        return RTJob(run, self._dashboard(run))

    def close(self) -> None:
        """Forget the credentials; jobs continue.

        Examples:
            >>> ResonTech(ResonTechConfig(base_url="local")).close()
        """
        self._client = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def __exit__(self, *_: object) -> None:
        """Forget the credentials; jobs continue."""
        self.close()

    def _connected(self) -> JobClient:
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> JobClient:
        if self._place.startswith(LOCAL):
            return LocalClient(self._place.partition("://")[2] or DEFAULT_OUT)
        from fedjob.client.cluster import Client

        config = self.config
        if not self._place:
            return Client(namespace=config.namespace)
        self._scratch = tempfile.TemporaryDirectory(prefix="fedjob-")
        path = Path(self._scratch.name) / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig_text(self._place, config.password, _cluster_of(self._place)))
        return Client(namespace=config.namespace, kubeconfig=path)

    def _dashboard(self, run: Run) -> str:
        if self._place.startswith(LOCAL):
            out = Path(self._place.partition("://")[2] or DEFAULT_OUT).expanduser().resolve()
            return (out / run.name / "report.html").as_uri()
        path = f"apis/fedjob.dev/v1alpha1/namespaces/{run.namespace}/federatedjobs/{run.name}"
        return f"{self._place.rstrip('/')}/{path}"


def place_of(config: ResonTechConfig) -> str:
    """Where jobs run: `local`, `local://DIR`, the API server's URL, or empty for the kubeconfig's.

    Raises:
        InvalidInputError: It is none of these.
    """
    name, value = ENGINE, os.environ.get(ENGINE, "")
    if value == "kubernetes":
        return ""
    if not value:
        name, value = "base_url", config.base_url or ""
    if value == "kubeconfig":
        value = ""
    if value in ("", LOCAL) or value.startswith((f"{LOCAL}://", "https://", "http://")):
        # A token for the API server says which user; without one the kubeconfig has the answer.
        remote = value.startswith("http")
        return "" if remote and config.password is None else value
    fix = "write local, local://DIR, https://host:port of an API server, or nothing"
    raise InvalidInputError([Fault(name, f"{value!r} is not a place where jobs run", fix)])


def kubeconfig_text(server: str, token: str | None, cluster: dict[str, Any] | None) -> str:
    """A kubeconfig for one server and one token.

    Args:
        server: Its URL.
        token: A bearer token.
        cluster: How the user's kubeconfig reaches the same server: its certificate authority.
    """
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fedjob",
            "clusters": [{"name": "fedjob", "cluster": {**(cluster or {}), "server": server}}],
            "users": [{"name": "fedjob", "user": {"token": token}}],
            "contexts": [{"name": "fedjob", "context": {"cluster": "fedjob", "user": "fedjob"}}],
        }
    )


def _cluster_of(server: str) -> dict[str, Any] | None:
    files = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    for name in files.split(os.pathsep):
        try:
            config = yaml.safe_load(Path(name).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        for item in config.get("clusters") or ():
            cluster: dict[str, Any] = item.get("cluster") or {}
            if str(cluster.get("server", "")).rstrip("/") == server.rstrip("/"):
                return cluster
    return None
