"""Faults of the shared checks, in the names that a Python caller has."""

import pytest

from fedjob.client.python_names import in_python, python_names
from fedjob.errors import Fault, InvalidInputError, WorkspaceError


@pytest.mark.parametrize(
    ("option", "argument"),
    [
        ("give the folder: --shards DIR", "give the folder: shards=DIR"),
        ("--shards", "shards"),
        ("run it with --install (into a cache)", "run it with install=True (into a cache)"),
        ("give another --out, or --fresh to delete it", "give another out=, or fresh=True to "
         "delete it"),
        ("give the folder: --model-file /a/b, or", "give the folder: model_file= /a/b, or"),
        ("pip's --hash option", "pip's --hash option"),
    ],
)  # fmt: skip
def test_options_become_arguments(option, argument):
    assert in_python(option) == argument


def test_other_faults_are_raised_as_they_are():
    error = WorkspaceError([Fault("sftp_key_file", "is not supported", "use S3")])
    with pytest.raises(WorkspaceError) as caught, python_names():
        raise error
    assert caught.value is error
    with pytest.raises(InvalidInputError, match="shards: /x is not a folder"), python_names():
        raise InvalidInputError([Fault("--shards", "/x is not a folder", "give one")])
