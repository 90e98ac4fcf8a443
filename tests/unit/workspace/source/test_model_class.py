"""Arguments of the model, compared with its constructor and its dataclasses."""

import pytest

from fedjob.workspace.source.model_class import argument_faults
from fedjob.workspace.source.model_file import check_source
from support.workspace.model_targets import HEAD


def faults(code, name, **args):
    info = check_source(HEAD + code, name)
    return [str(f) for f in argument_faults(info.constructor, name, args, "spec.model.args")]


def test_a_model_that_is_made_already_takes_no_arguments():
    assert faults("model = Net(1)", "model") == []
    (problem,) = faults("model = Net(1)", "model", width=3)
    assert "model is a model already and takes no arguments" in problem
    assert faults("model = make_net(depth=1)", "model", width=3) == []


CONFIGURED = """
class Model(nn.Module):
    def __init__(self, config: Config, other: "Config" = None, free=None): pass
"""


def test_a_mapping_for_a_dataclass_has_its_fields():
    """Field dataclass-config."""
    good = {"hidden": 3, "needed": 1, "tags": []}
    assert faults(CONFIGURED, "Model", config=good, other=good, free={"x": 1}) == []
    assert faults(CONFIGURED, "Model", config=3) == []
    assert faults(CONFIGURED, "Model", config={"hiden": 3, "needed": 1, "seen": 1}) == [
        "spec.model.args.config.hiden: Config does not take it; "
        "it takes hidden, dropout, tags, needed; remove it",
        "spec.model.args.config.seen: Config does not take it; "
        "it takes hidden, dropout, tags, needed; remove it",
        "spec.model.args.config: Config needs `hidden`; "
        "add `hidden`, or give it a default in the class",
    ]


@pytest.mark.parametrize(
    "config",
    [
        "class C:\n    a: int",
        "@dataclass(kw_only=True)\n@functools.cache\nclass C:\n    a: int",
        "@dataclass\nclass C(Imported):\n    a: int",
        "@dataclass\nclass C:\n    a: int\n    def __post_init__(self): pass",
    ],
)
def test_other_classes_may_take_anything(config):
    code = f"{config}\nclass Model(nn.Module):\n    def __init__(self, c: C): pass\n"
    assert faults(code, "Model", c={"x": 1}) == []
