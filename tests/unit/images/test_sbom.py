"""What the list of an image's contents is read from."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from support.repository import ROOT

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12+deb13u1
Description: GNU C Library
 with a second line

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
MODULES = """\
/tmp/folder/program: go1.27.1
\tpath\texample.org/program
\tmod\texample.org/program\t(devel)
\tdep\tgolang.org/x/net\tv0.50.0\th1:abc=
\tdep\texample.org/old\tv1.0.0
\t=>\texample.org/fork\tv1.0.1\th1:def=
\tbuild\t-compiler=gc
"""


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "images/sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_installed_debian_packages_are_listed(sbom: ModuleType) -> None:
    found = [str(component.purl) for component in sbom.debian_packages(STATUS)]
    assert found == ["pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64"]


def test_python_package_is_named_as_the_index_names_it(sbom: ModuleType) -> None:
    component = sbom.python_package("Name: Flask_JWT.Extended\nVersion: 4.6.0\n\nName: text\n")
    assert str(component.purl) == "pkg:pypi/flask-jwt-extended@4.6.0"


def test_go_modules_are_listed_as_what_replaces_them(sbom: ModuleType) -> None:
    found = [str(component.purl) for component in sbom.go_modules(MODULES)]
    assert found == [
        "pkg:golang/stdlib@1.27.1",
        "pkg:golang/example.org/program@%28devel%29",
        "pkg:golang/golang.org/x/net@v0.50.0",
        "pkg:golang/example.org/fork@v1.0.1",
    ]


def test_script_has_no_modules(sbom: ModuleType) -> None:
    assert list(sbom.go_modules("")) == []
