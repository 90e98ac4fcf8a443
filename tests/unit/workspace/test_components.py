"""Rows 32 to 34: the classes that NVFlare builds."""

import pytest

from fedjob.errors import InvalidInputError
from fedjob.workspace.source.model_file import InvalidSourceError
from support.workspace.rendered_jobs import FORM_A, config, executor_of, rendered

OWN_EXECUTOR = """
from nvflare.apis.executor import Executor
class Mine(Executor):
    def __init__(self, data_root, speed=1):
        super().__init__()
"""


DERIVED = """
from fedjob_runtime.worker.executor import TrainExecutor
class Mine(TrainExecutor):
    pass
"""


PLAIN = """
from nvflare.apis.executor import Executor
class Mine(Executor):
    pass
"""


COMPONENTS = {
    "takes-one": (OWN_EXECUTOR, {"speed": 2}, {"data_root": "shard", "speed": 2}),
    "overrides": (OWN_EXECUTOR, {"data_root": "x"}, {"data_root": "x"}),
    "plain": (PLAIN, {"any": 1}, {"any": 1}),
}


@pytest.mark.parametrize(("code", "given", "expected"), COMPONENTS.values(), ids=COMPONENTS.keys())
def test_the_users_own_executor(code, given, expected):
    """Row 32: it gets its own arguments and those of ours that it takes."""
    files = rendered(
        extra={"app/custom/mine.py": code},
        components={"executor": {"path": "mine.Mine", "args": given}},
    )
    assert executor_of(files)["executor"] == {"path": "mine.Mine", "args": expected}
    assert files["app/custom/mine.py"] == code.encode()


def test_an_executor_derived_from_ours_gets_all_of_our_arguments():
    """Row 32."""
    own = executor_of(rendered())["executor"]["args"]
    files = rendered(
        FORM_A + DERIVED, components={"executor": {"path": "model_def.Mine", "args": {}}}
    )
    assert executor_of(files)["executor"] == {"path": "model_def.Mine", "args": own}


def test_the_users_own_persistor_and_aggregator():
    """Rows 33 and 34."""
    persistor = {"path": "nvflare.app_opt.pt.file_model_persistor.PTFileModelPersistor"}
    aggregator = {"path": "mine.Median", "args": {"trim": 1}}
    files = rendered(
        extra={"app/custom/mine.py": "class Median:\n    pass\n"},
        components={"persistor": persistor, "aggregator": aggregator},
    )
    by_id = {item["id"]: item for item in config(files, "server")["components"]}
    assert by_id["persistor"] == {"id": "persistor", "args": {}, **persistor}
    assert by_id["aggregator"] == {"id": "aggregator", **aggregator}


def test_a_broken_extra_module_is_named():
    with pytest.raises(InvalidInputError, match=r"app/custom/mine.py line 1") as caught:
        rendered(
            extra={"app/custom/mine.py": "class :"},
            components={"executor": {"path": "mine.Mine"}},
        )
    assert not isinstance(caught.value, InvalidSourceError)
