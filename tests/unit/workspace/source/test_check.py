"""The model file is checked together with the modules that are shipped beside it."""

import pytest

from fedjob.workspace.source.check import check_model
from fedjob.workspace.source.model_file import InvalidSourceError

NET = "import torch.nn as nn\nclass Net(nn.Module): pass\n"


def check(text, **files):
    shipped = {name.replace("__", "/") + ".py": code.encode() for name, code in files.items()}
    return check_model(text, shipped, class_name="Net")


def test_modules_that_are_shipped_are_not_missing():
    """Field sibling-module: nobody is sent to a registry for a file that lies beside it."""
    text = f"import utils, pkg.a, absent\n{NET}"
    info = check(text, utils="import scipy", pkg__a="", script="import unused")
    assert info.missing_modules == ("absent", "scipy")


def test_faults_of_imported_modules_come_with_those_of_the_model_file():
    text = f"import a, b\n{NET}x = np\n"
    with pytest.raises(InvalidSourceError) as caught:
        check(text, a="def (", b="F.relu", unused="def (")
    assert [fault.field for fault in caught.value.faults] == [
        "model_def.py line 4",
        "a.py line 1",
        "b.py line 1",
    ]
    assert caught.value.info is not None
    assert caught.value.info.missing_modules == ()


def test_a_model_file_that_is_no_python_has_no_info():
    with pytest.raises(InvalidSourceError) as caught:
        check("def (")
    assert caught.value.info is None


def test_empty_modules_are_fine():
    assert check(f"import pkg.a\n{NET}", pkg____init__="", pkg__a="").form == "C"
