"""Lists what is in an image, as CycloneDX JSON: Debian packages, Python packages, Go modules.

    python images/sbom.py localhost:5001/fedjob/runtime:0.2.0 > out/sbom/runtime.cdx.json

It reads the image's files, not what its Dockerfile asks for. `make sbom` makes one for each image.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

DPKG_STATUS = "var/lib/dpkg/status"
PROGRAMS = ("usr/local/bin/",)
"""Folders whose programs may be Go's, which name their modules."""


def bom_of(image: str) -> Bom:
    """Everything that the image's files show.

    Args:
        image: Name or id of an image of the Docker daemon.

    Raises:
        subprocess.CalledProcessError: Docker has no such image.
    """
    bom = Bom()
    root = Component(name=image, type=ComponentType.CONTAINER, version=_id(image), bom_ref=image)
    bom.metadata.component = root
    bom.components.update(_components(image))
    bom.register_dependency(root, bom.components)
    return bom


def debian_packages(status: str) -> Iterator[Component]:
    """The installed packages of dpkg's status file."""
    for paragraph in status.split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if fields.get("Status") == "install ok installed":
            name, version = fields["Package"], fields["Version"]
            architecture = {"arch": fields["Architecture"]}
            yield _component(
                name, version, PackageURL("deb", "debian", name, version, architecture)
            )


def python_package(metadata: str) -> Component:
    """The package of a METADATA file."""
    fields = HeaderParser().parsestr(metadata)
    name, version = canonicalize_name(fields["Name"]), fields["Version"]
    return _component(name, version, PackageURL("pypi", None, name, version))


def go_modules(listing: str) -> Iterator[Component]:
    """The modules in the output of `go version -m`; a replaced one as what replaces it.

    Go's own packages are the module `stdlib`, as advisories name them.
    """
    found: list[tuple[str, str]] = []
    first, *rows = listing.splitlines() or [""]
    release = re.search(r": go(\d\S*)$", first)
    if release:
        found.append(("stdlib", release[1]))
    for line in rows:
        kind, *rest = line.split()
        if kind in ("mod", "dep"):
            found.append((rest[0], rest[1]))
        elif kind == "=>":
            found[-1] = (rest[0], rest[1] if len(rest) > 1 else "(devel)")
    for path, version in found:
        namespace, _, name = path.rpartition("/")
        yield _component(path, version, PackageURL("golang", namespace or None, name, version))


def _component(name: str, version: str, purl: PackageURL) -> Component:
    reference = str(purl)
    return Component(
        name=name, version=version, purl=purl, bom_ref=reference, type=ComponentType.LIBRARY
    )


def _components(image: str) -> Iterator[Component]:
    container = _docker("create", image, "none").strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
            assert export.stdout is not None  # noqa: S101 (a pipe was asked for)
            with tarfile.open(fileobj=export.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile():
                        yield from _of_file(archive, member)
        if export.returncode:
            raise subprocess.CalledProcessError(export.returncode, "docker export")
    finally:
        _docker("rm", container)


def _of_file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[Component]:
    path = member.name.removeprefix("./")
    if path == DPKG_STATUS:
        yield from debian_packages(_text(archive, member))
    elif path.startswith("opt/fedjob/") and path.endswith(".dist-info/METADATA"):
        yield python_package(_text(archive, member))
    elif path.startswith(PROGRAMS) and member.mode & 0o111:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / Path(path).name
            source = archive.extractfile(member)
            assert source is not None  # noqa: S101 (a regular file)
            program.write_bytes(source.read())
            program.chmod(0o755)
            # Scripts and programs of other languages have no modules, and are an error to go.
            listed = subprocess.run(
                ["go", "version", "-m", program], capture_output=True, text=True, check=False
            )
            yield from go_modules(listed.stdout)


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    source = archive.extractfile(member)
    assert source is not None  # noqa: S101 (a regular file)
    return source.read().decode()


def _id(image: str) -> str:
    return _docker("image", "inspect", "-f", "{{.Id}}", image).strip()


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Prints the SBOM of the image on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image")
    print(JsonV1Dot6(bom_of(parser.parse_args().image)).output_as_string(indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
