"""requirements.txt is read as pip reads it; what a job cannot install is refused by line."""

import pytest

from fedjob.workspace.requirements.lines import (
    InvalidRequirementsError,
    all_requirements,
    parse_requirements,
)

SHA = "sha256:" + "0" * 64
OTHER = "sha256:" + "1" * 64


def texts(text):
    return [line.text for line in parse_requirements(text, "requirements.txt")]


def test_comments_continued_lines_markers_and_hashes_are_read():
    text = f"""
# what we need
numpy>=2,<3   # arrays
timm[extra] == 1.0 ; python_version >= "3.11"

tiny==1.0 \\
    --hash={SHA} \\
    --hash {OTHER}
name @ https://host/x-1.0-py3-none-any.whl#egg=x
wheels/tiny-1.0-py3-none-any.whl
./tiny-2.0-py3-none-any.whl --hash={SHA}
"""
    assert texts(text) == [
        "numpy>=2,<3",
        'timm[extra] == 1.0 ; python_version >= "3.11"',
        f"tiny==1.0 --hash={SHA} --hash={OTHER}",
        "name @ https://host/x-1.0-py3-none-any.whl#egg=x",
        "./wheels/tiny-1.0-py3-none-any.whl",
        f"./tiny-2.0-py3-none-any.whl --hash={SHA}",
    ]


def test_a_backslash_at_the_end_of_the_file_is_harmless():
    assert texts("numpy \\\n") == ["numpy"]
    assert texts("\ufeff"[1:] + "# only a comment") == []


def test_a_wheel_has_its_distributions_name():
    (wheel, plain) = parse_requirements("./w/Tiny_Pkg-1.0-py3-none-any.whl\nNumPy>=2", "r")
    assert (wheel.name, wheel.wheel) == ("tiny-pkg", "w/Tiny_Pkg-1.0-py3-none-any.whl")
    assert (plain.name, plain.wheel) == ("NumPy", "")


BAD = {
    "-r more.txt": ("is an option of pip", "copy the lines"),
    "--requirement=more.txt": ("is an option of pip", "copy the lines"),
    "-e .": ("is an option of pip", "build a wheel"),
    "--index-url https://x": ("is an option of pip", "PIP_INDEX_URL"),
    "-f wheels": ("is an option of pip", "./x.whl"),
    "--pre": ("is an option of pip", "one package a line"),
    "numpy --index-url https://x": ("is not a requirement", "scikit-learn"),
    "numpy==": ("is not a requirement", "scikit-learn"),
    "numpy; python_versoin > '3'": ("is not a requirement", "scikit-learn"),
    "two packages": ("is not a requirement", "scikit-learn"),
    "x==1 --hash=md5:00": ("is not a hash", "sha256"),
    "git+https://host/repo": ("is not a requirement", "scikit-learn"),
    "x @ git+https://host/repo": ("is not at an https:// address", "build a wheel"),
    "x @ file:///tmp/x.whl": ("is not at an https:// address", "build a wheel"),
    "https://host/x-1.0-py3-none-any.whl": ("has no name", "write `name @ https://host"),
    "/tmp/x-1.0-py3-none-any.whl": ("is not beside the model file", "./x.whl"),
    "../x-1.0-py3-none-any.whl": ("is not beside the model file", "./x.whl"),
    "./x.whl": ("Invalid wheel filename", "keep the wheel's own name"),
}


@pytest.mark.parametrize(("line", "expected"), BAD.items())
def test_a_line_that_cannot_be_installed_is_named(line, expected):
    with pytest.raises(InvalidRequirementsError) as caught:
        parse_requirements(f"numpy\n\n{line}\n", "requirements.txt")
    (fault,) = caught.value.faults
    assert fault.field == "requirements.txt line 3"
    assert expected[0] in fault.problem
    assert expected[1] in fault.fix


def test_all_faults_come_at_once():
    with pytest.raises(InvalidRequirementsError) as caught:
        parse_requirements("-r a\nnumpy\n-e .", "r")
    assert [fault.field for fault in caught.value.faults] == ["r line 1", "r line 3"]


def test_a_requirements_file_among_the_files_adds_to_the_list():
    files = {"requirements.txt": b"\xef\xbb\xbfnumpy\ntiny==1\n", "w/t-1-py3-none-any.whl": b""}
    found = all_requirements(["numpy", "./w/t-1-py3-none-any.whl"], files)
    assert [line.text for line in found] == ["numpy", "./w/t-1-py3-none-any.whl", "tiny==1"]
    assert all_requirements([], {}) == ()


def test_faults_of_list_file_and_wheels_come_together():
    files = {"requirements.txt": b"-r more.txt"}
    with pytest.raises(InvalidRequirementsError) as caught:
        all_requirements(["./t-1-py3-none-any.whl", "-e ."], files)
    assert [fault.field for fault in caught.value.faults] == [
        "spec.model.requirements[1]",
        "requirements.txt line 1",
        "spec.model.requirements",
    ]
    with pytest.raises(InvalidRequirementsError, match="is not UTF-8 text"):
        all_requirements([], {"requirements.txt": b"\xff"})
