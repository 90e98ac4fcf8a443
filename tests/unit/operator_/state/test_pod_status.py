"""A Pod object as the operator sees it, whatever the API returns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedjob_operator.naming import CONFIG, CONFIG_PARTS, ORDINAL, Body
from fedjob_operator.state.pod_status import PodView, termination_message, view_pod
from support.operator.samples import NOW, running


def a_pod(status: Body | None = None, annotations: Body | None = None, **meta: Any) -> Body:
    metadata = {"name": "p", "uid": "u", "annotations": annotations or {}, **meta}
    return {"metadata": metadata, "status": status}


def test_pod_without_a_status_has_defaults() -> None:
    assert view_pod({"metadata": {"name": "p"}}) == PodView(name="p", uid="", ordinal=0, config="")


@pytest.mark.parametrize(("text", "ordinal"), [("3", 3), ("three", 0), ("", 0)])
def test_ordinal_is_read_from_its_annotation(text: str, ordinal: int) -> None:
    assert view_pod(a_pod(annotations={ORDINAL: text})).ordinal == ordinal


@pytest.mark.parametrize(
    ("text", "parts"),
    [('{"spec.server": "ab"}', {"spec.server": "ab"}), ("[1]", {}), ("{", {}), ("", {})],
)
def test_parts_of_the_configuration_are_read(text: str, parts: dict[str, str]) -> None:
    found = view_pod(a_pod(annotations={CONFIG: "hash", CONFIG_PARTS: text}))
    assert (found.config, found.config_parts) == ("hash", parts)


def test_fields_of_a_running_pod() -> None:
    end = {"exitCode": 3, "finishedAt": "2027-01-15T08:00:00Z", "reason": "Error", "message": "m"}
    found = view_pod(a_pod(running(restarts=2, last=end)))
    assert (found.phase, found.ready, found.ip) == ("Running", True, "10.1.2.3")
    assert (found.restarts, found.exit_code, found.finished) == (2, 3, NOW)
    assert (found.end_reason, found.message, found.ended) == ("Error", "m", False)


@pytest.mark.parametrize(
    ("end", "oom"),
    [
        ({"reason": "OOMKilled", "exitCode": 137}, True),
        ({"message": '{"phase": "Failed", "reason": "OutOfMemory"}'}, True),
        ({"message": '{"phase": "Failed", "reason": "ModelInvalid"}'}, False),
        ({"message": '{"reason": "OutOfMemory"}'}, False),
        ({"reason": "Error", "exitCode": 137}, False),
    ],
)
def test_out_of_memory_is_found_for_container_and_process(end: Body, *, oom: bool) -> None:
    for part in ("state", "lastState"):
        status = {"containerStatuses": [{part: {"terminated": end}}]}
        assert view_pod(a_pod(status)).oom is oom


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"type": "PodScheduled", "reason": "Unschedulable", "message": "no"}, ("no", False, "")),
        ({"type": "PodScheduled", "reason": "SchedulingGated"}, ("", True, "")),
        (
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
            ("", False, "PreemptionByScheduler"),
        ),
        ({"type": "DisruptionTarget", "status": "False", "reason": "Gone"}, ("", False, "")),
    ],
)
def test_conditions_of_the_pod(condition: Body, expected: tuple[str, bool, str]) -> None:
    found = view_pod(a_pod({"conditions": [condition]}))
    assert (found.unschedulable, found.gated, found.disruption) == expected


@pytest.mark.parametrize(
    ("waiting", "pull", "start"),
    [
        ("ImagePullBackOff", True, False),
        ("CreateContainerConfigError", False, True),
        ("ContainerCreating", False, False),
    ],
)
def test_trouble_of_a_waiting_container(waiting: str, *, pull: bool, start: bool) -> None:
    status = {"containerStatuses": [{"state": {"waiting": {"reason": waiting}}}]}
    found = view_pod(a_pod(status))
    assert (found.pull_trouble, found.start_trouble) == (pull, start)


@pytest.mark.parametrize(
    ("message", "last"),
    [
        ("", ""),
        ("Traceback\n\nValueError: no\n \n", "ValueError: no"),
        (json.dumps({"phase": "Failed", "message": "one\ntwo"}), "one; two"),
        (json.dumps({"phase": "Failed"}), ""),
        (json.dumps({"message": "not fedjob's"}), '{"message": "not fedjob\'s"}'),
        ("x" * 600, "x" * 500),
    ],
)
def test_last_message_is_one_short_line(message: str, last: str) -> None:
    found = PodView(name="p", uid="u", ordinal=0, config="", message=message)
    assert found.last_message == last


@pytest.mark.parametrize("message", ["", "[1]", "{", '{"reason": "x"}'])
def test_termination_message_of_another_process_is_not_read(message: str) -> None:
    assert (
        termination_message(PodView(name="p", uid="u", ordinal=0, config="", message=message))
        is None
    )


def test_pod_is_overdue_after_its_grace_period() -> None:
    leaving = view_pod(a_pod(deletionTimestamp="2027-01-15T08:00:00Z"))
    assert not leaving.is_overdue(NOW + 1)
    assert leaving.is_overdue(NOW + 2)
    assert not view_pod(a_pod()).is_overdue(NOW + 99)


# A server's pod: the supervisor, and the federation as its sidecar.


def server(main: Body, sidecar: Body) -> PodView:
    status = {
        "containerStatuses": [{"name": "supervisor", **main}],
        "initContainerStatuses": [{"name": "federation", **sidecar}],
    }
    return view_pod(a_pod(status))


def ended(second: int, **end: Any) -> Body:
    finished = f"2027-01-15T08:00:{second:02}Z"
    return {"lastState": {"terminated": {"exitCode": 1, "finishedAt": finished, **end}}}


def test_restarts_of_both_containers_count_and_the_last_end_is_shown() -> None:
    found = server(
        {"restartCount": 2, **ended(5, exitCode=75)},
        {"restartCount": 1, **ended(9, exitCode=137, reason="Error", message="Killed")},
    )
    assert (found.restarts, found.exit_code, found.end_reason) == (3, 137, "Error")
    assert (found.finished, found.last_message) == (NOW + 9, "federation: Killed")
    earlier = server(ended(5, exitCode=75, message="no agent"), ended(4, exitCode=137))
    assert (earlier.exit_code, earlier.last_message) == (75, "no agent")


def test_message_of_the_authors_container_is_no_message_of_fedjob() -> None:
    text = json.dumps({"phase": "Failed", "reason": "OutOfMemory", "message": "believe me"})
    found = server(ended(1), ended(2, message=text))
    assert termination_message(found) is None
    assert not found.oom
    own = server(ended(1, message=text), {})
    assert termination_message(own) == json.loads(text)
    assert own.oom


@pytest.mark.parametrize(("main", "sidecar", "oom"), [(True, False, False), (False, True, True)])
def test_memory_that_the_author_chose_is_the_federations(
    *, main: bool, sidecar: bool, oom: bool
) -> None:
    killed = ended(1, exitCode=137, reason="OOMKilled")
    assert server(killed if main else {}, killed if sidecar else {}).oom is oom


@pytest.mark.parametrize(
    ("main", "sidecar", "waiting"),
    [
        ("PodInitializing", "ImagePullBackOff", "ImagePullBackOff"),
        ("PodInitializing", "PodInitializing", "PodInitializing"),
        ("ErrImagePull", "", "ErrImagePull"),
        ("", "CrashLoopBackOff", "CrashLoopBackOff"),
        ("CreateContainerConfigError", "ContainerCreating", "CreateContainerConfigError"),
    ],
)
def test_container_with_trouble_is_shown(main: str, sidecar: str, waiting: str) -> None:
    def state(reason: str) -> Body:
        return {"state": {"waiting": {"reason": reason}} if reason else {"running": {}}}

    assert server(state(main), state(sidecar)).waiting == waiting
