"""The controller connects NVFlare to the segment's rounds: persistor, tasks, answers, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from fedjob.reasons import Reason
from fedjob_runtime.protocol import ENV_HANDOVER, ENV_JOB_FOLDER
from fedjob_runtime.server.ipc import Control, SegmentReport
from fedjob_runtime.server.job_process import controller as module
from fedjob_runtime.server.job_process.controller import SegmentController
from fedjob_runtime.server.supervisor.handover import SupervisorHandover
from support.handover import handover_in

SEGMENT = 7


class AuthorsPersistor(ModelPersistor):
    """Gives and keeps what a test wants."""

    def __init__(self, give: Callable[[], Any]) -> None:
        super().__init__()
        self.give = give
        self.kept: list[Any] = []

    def load_model(self, fl_ctx: FLContext) -> Any:
        return self.give()

    def save_model(self, model: Any, fl_ctx: FLContext) -> None:
        self.kept.append(model["weights"])


def weights(**named: Any) -> Callable[[], Any]:
    return lambda: make_model_learnable(named, {})


class Controller(SegmentController):
    """With an engine of components, and tasks and events that go nowhere."""

    def __init__(self, components: dict[str, object]) -> None:
        super().__init__(num_rounds=1, min_clients=1, segment=SEGMENT, clients=["worker-0"])
        self.fl_ctx = FLContext()
        self.engine = SimpleNamespace(get_component=components.get)
        persistor = components.get("persistor")
        self.persistor = persistor if isinstance(persistor, ModelPersistor) else None
        self.abort_signal = SimpleNamespace(triggered=False)
        self.sent: list[tuple[str, Any]] = []
        self.cancelled = 0

    def broadcast_model(self, data: Any, task_name: str = "train", **options: Any) -> Any:
        self.sent.append((task_name, options["targets"]))

    def cancel_all_tasks(self, *_: Any, **__: Any) -> None:
        self.cancelled += 1

    def event(self, event_type: str) -> None:
        pass

    def panic(self, reason: str) -> None:
        pass


@pytest.fixture
def handover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SupervisorHandover:
    monkeypatch.setenv(ENV_HANDOVER, str(tmp_path))
    monkeypatch.setenv(ENV_JOB_FOLDER, str(tmp_path / "job"))
    monkeypatch.setattr(module, "exit_when_orphaned", lambda: None)
    handover = handover_in(tmp_path)
    handover.write_control(Control(SEGMENT))
    return handover


def ended(handover: SupervisorHandover) -> SegmentReport:
    report = handover.read_report(SEGMENT)
    assert report is not None
    assert report.phase == "ended"
    return report


def raising(error: Exception) -> Callable[[], Any]:
    def give() -> Any:
        raise error

    return give


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("give", "reason", "fragments"),
    [
        (
            raising(KeyError("pretrained")),
            Reason.MODEL_INVALID,
            ["AuthorsPersistor.load_model failed: KeyError: 'pretrained' (test_controller.py line"],
        ),
        (weights(), Reason.MODEL_INVALID, ["AuthorsPersistor.load_model gave no weights"]),
        (lambda: {"w": 1}, Reason.MODEL_INVALID, ["AuthorsPersistor.load_model gave no weights"]),
        (weights(w="text"), Reason.MODEL_INVALID, ["AuthorsPersistor.load_model: w is a str"]),
        (
            weights(w=np.ones(2, np.complex128)),
            Reason.MODEL_INVALID,
            ["AuthorsPersistor.load_model.w is complex128", "use complex64"],
        ),
    ],
)
def test_initial_model_that_cannot_be_had_fails_the_run(
    handover: SupervisorHandover, give: Callable[[], Any], reason: Reason, fragments: list[str]
) -> None:
    controller = Controller({"persistor": AuthorsPersistor(give)})
    controller.run()
    report = ended(handover)
    assert (report.outcome, report.error["reason"]) == ("error", reason)
    for fragment in fragments:
        assert fragment in report.error["message"]
    assert controller.cancelled == 1


def test_component_that_is_no_persistor_is_named(handover: SupervisorHandover) -> None:
    Controller({"persistor": {}}).run()
    report = ended(handover)
    assert report.error["reason"] == Reason.COMPONENT_INVALID
    assert "spec.components.persistor: dict does not derive" in report.error["message"]


def test_arrays_of_a_persistor_become_tensors_of_their_own(handover: SupervisorHandover) -> None:
    shared = np.ones((2, 2), np.float32)
    controller = Controller({"persistor": AuthorsPersistor(weights(a=shared, b=shared[0]))})
    found = controller._initial_weights()
    assert found["a"].untyped_storage().data_ptr() != found["b"].untyped_storage().data_ptr()
    assert torch.equal(found["b"], torch.ones(2))


def test_error_of_our_own_is_reported_with_its_frames(
    handover: SupervisorHandover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_weights: object) -> int:
        raise TypeError("of our own")

    monkeypatch.setattr(module, "answer_limit", broken)
    controller = Controller({"persistor": AuthorsPersistor(weights(w=np.ones(1, np.float32)))})
    agent = SimpleNamespace(execute_command=None)
    controller.engine.get_cell = lambda: None
    controller.engine.server = SimpleNamespace(command_agent=agent)
    controller.run()
    report = ended(handover)
    assert (report.outcome, report.error["reason"]) == ("error", Reason.INTERNAL_ERROR)
    assert "TypeError: of our own (controller.py line" in report.error["message"]


def test_superseded_segment_ends_without_a_report(handover: SupervisorHandover) -> None:
    handover.write_control(Control(SEGMENT + 1))
    controller = Controller({"persistor": AuthorsPersistor(weights(w=np.ones(1)))})
    controller.run()
    report = handover.read_report(SEGMENT)
    assert report is None or report.phase != "ended"
    assert controller.cancelled == 1


def test_authors_persistor_gets_each_new_model(handover: SupervisorHandover) -> None:
    persistor = AuthorsPersistor(weights())
    Controller({"persistor": persistor})._keep({"w": torch.ones(1)})
    assert [list(kept) for kept in persistor.kept] == [["w"]]


def test_tasks_go_to_the_members_of_the_round(handover: SupervisorHandover) -> None:
    controller = Controller({})
    model = FLModel(params_type=ParamsType.FULL, params={"w": torch.ones(1)}, current_round=3)
    controller.send("validate", model, ["worker-1"], lambda _: True)
    assert controller.sent == [("validate", ["worker-1"])]
    assert controller.current_round == 3
    assert not controller.aborted
