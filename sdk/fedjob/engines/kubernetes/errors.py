"""What the API server refuses, or why it cannot be reached: one class and one fix for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fedjob.errors import Fault, FedjobError, InvalidInputError, UnavailableError
from fedjob.reasons import Reason

RESOURCE = "federatedjobs"
GROUP = "fedjob.dev"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as messages name it.

    Attributes:
        verb: Kubernetes' verb: get, list, watch, create, patch, delete.
        resource: `federatedjobs`, `pods`, `pods/log`.
        namespace: Where; None for the whole cluster.
        name: Of the object; None for a collection.
    """

    verb: str
    resource: str = RESOURCE
    namespace: str | None = None
    name: str | None = None

    @property
    def where(self) -> str:
        """`in namespace team-a`, or `in the whole cluster`."""
        return f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"

    @property
    def target(self) -> str:
        """`federatedjobs/digits in namespace team-a`."""
        resource = f"{self.resource}/{self.name}" if self.name else self.resource
        return f"{resource} {self.where}"


class NoClusterError(UnavailableError):
    """No kubeconfig names a cluster, and this process is not in a pod."""

    reason = Reason.CLUSTER_UNREACHABLE


class KubeconfigError(InvalidInputError):
    """The kubeconfig cannot be used, or has no such context."""


class ClusterUnreachableError(UnavailableError):
    """The API server does not answer."""

    reason = Reason.CLUSTER_UNREACHABLE


class UnauthorizedError(UnavailableError):
    """The API server does not accept the credentials, not even after they were read again."""


class ForbiddenError(UnavailableError):
    """The credentials have no right to do this.

    Attributes:
        request: What was refused.
    """

    def __init__(self, request: Request, message: str) -> None:
        self.request = request
        group = GROUP if request.resource.startswith(RESOURCE) else '""'
        super().__init__(
            f"not allowed: {request.verb} {request.target} ({message}); ask for a Role with verb "
            f"{request.verb} on {request.resource}, API group {group}"
        )


class CrdMissingError(UnavailableError):
    """The cluster does not know FederatedJobs."""


class JobNotFoundError(InvalidInputError):
    """No FederatedJob has this name."""


class ObjectNotFoundError(UnavailableError):
    """An object other than a FederatedJob does not exist."""


class ConflictError(UnavailableError):
    """Another client changed the object at the same time."""


class JobRefusedError(InvalidInputError):
    """The API server, or an admission webhook, refuses the job; all of its faults."""


class ApiServerError(UnavailableError):
    """The API server answers with an error that trying again did not mend."""


class ExpiredError(FedjobError):
    """410 Gone: a resourceVersion or a continue token is too old; list again."""


def error_for(status: int, body: bytes, request: Request) -> FedjobError:
    """The error of an answer whose status is not 2xx.

    Args:
        status: The HTTP status.
        body: A `Status` object, or text of a proxy in between.
        request: What was asked.
    """
    answer = _status_object(body)
    message = str(answer.get("message") or body[:300].decode("utf-8", "replace") or "no message")
    if status == 401:
        return UnauthorizedError(
            "the API server does not accept the credentials of the kubeconfig (401), even after "
            "reading them again; log in to the cluster again, and try `kubectl auth whoami`"
        )
    if status == 403 and "because it is being terminated" not in message:
        return ForbiddenError(request, message)
    if status == 404:
        return _not_found(answer, message, request)
    if status == 410:
        return ExpiredError(message)
    if status == 409:
        return ConflictError(f"{request.target}: {message}; run the command again")
    if status in (400, 403, 413, 422):
        return JobRefusedError(_faults(answer, message, request))
    return ApiServerError(
        f"{request.verb} {request.target}: the API server answers {status}: {message}; try again "
        f"later, and see `kubectl get --raw /readyz?verbose`"
    )


def _not_found(answer: dict[str, Any], message: str, request: Request) -> FedjobError:
    named = bool((answer.get("details") or {}).get("name"))
    if request.resource == RESOURCE and not named:
        return CrdMissingError(
            "the cluster does not know FederatedJobs: install fedjob first (`helm install fedjob "
            "charts/fedjob -n fedjob-system --create-namespace`), or choose another --context"
        )
    if request.resource == RESOURCE and request.verb != "create" and request.name:
        fix = "`fedjob list` shows the jobs of the namespace, `fedjob list -A` those of all"
        if "namespaces" in message:
            fix = "create the namespace, or choose another one with --namespace"
        problem = message if "namespaces" in message else f"no such job {request.where}"
        return JobNotFoundError([Fault(request.name, problem, fix)])
    return ObjectNotFoundError(f"{request.target}: {message}; see whether it was deleted")


def _faults(answer: dict[str, Any], message: str, request: Request) -> list[Fault]:
    fix = "correct the field; `fedjob validate FILE` lists every fault before anything is sent"
    causes = (answer.get("details") or {}).get("causes") or []
    found = [
        Fault(str(cause.get("field") or request.target), str(cause.get("message", message)), fix)
        for cause in causes
    ]
    return found or [Fault(request.target, message, fix)]


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
