"""CONTRACT section 1: the forms of a training function."""

import pytest

from fedjob.workspace.source.model_file import check_source
from support.workspace.model_texts import MODEL

FORMS = {
    "A": ("def fl_train_model(payload): pass", None, "A", "fl_train_model"),
    "A-out_dir": ("def fl_train_model(payload, out_dir): pass", None, "A", "fl_train_model"),
    "A-all": ("def fl_train_model(payload, out_dir, logger): pass", None, "A", "fl_train_model"),
    "A-kwargs": ("def fl_train_model(**kwargs): pass", None, "A", "fl_train_model"),
    "A-own-default": ("def fl_train_model(payload, lr=1): pass", None, "A", "fl_train_model"),
    "A-decorated": (
        "@torch.enable_grad()\ndef fl_train_model(payload, x): pass",
        None,
        "A",
        "fl_train_model",
    ),
    "A-assigned": ("fl_train_model = lambda payload: {}", None, "A", "fl_train_model"),
    "A-conditional": (
        "if torch:\n    def fl_train_model(payload): pass",
        None,
        "A",
        "fl_train_model",
    ),
    "A-named": ("def mine(payload): pass", "mine", "A", "mine"),
    "B": ("def fl_train(model, env, out_dir, logger=None): pass", None, "B", "fl_train"),
    "B-no-logger": ("def fl_train(model, env, out_dir): pass", None, "B", "fl_train"),
    "B-other-names": ("def fl_train(net, settings, folder): pass", None, "B", "fl_train"),
    "B-star": ("def fl_train(*args, **kwargs): pass", None, "B", "fl_train"),
    "B-named": ("def mine(model, env, out_dir): pass", "mine", "B", "mine"),
    "A-before-B": (
        "def fl_train(model, env, out_dir): pass\ndef fl_train_model(payload): pass",
        None,
        "A",
        "fl_train_model",
    ),
    "C": ("", None, "C", None),
    "C-validate": ("def fl_validate(model, env, out_dir): pass", None, "C", None),
}


@pytest.mark.parametrize(("code", "named", "form", "function"), FORMS.values(), ids=FORMS.keys())
def test_the_form_is_found(code, named, form, function):
    """CONTRACT section 1."""
    info = check_source(f"{MODEL}\n{code}\n", "Net", named)
    assert (info.form, info.train_function) == (form, function)
    assert info.has_validate == ("fl_validate" in code)
