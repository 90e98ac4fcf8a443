"""Startup kits by NVFlare's provisioner: one authority a job, one certificate a site.

Run as a command by both engines (`python -m fedjob_runtime.nvflare_site.provisioning`), so that
neither the laptop's CLI nor the operator imports nvflare. A kit is four files:

    OUT/server/    fed_server.json  rootCA.pem  server.crt  server.key
    OUT/admin/     fed_admin.json   rootCA.pem  client.crt  client.key
    OUT/<worker>/  fed_client.json  rootCA.pem  client.crt  client.key
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ADMIN_NAME = "admin@fedjob.local"
ORGANISATION = "fedjob"
VALID_DAYS = 90

_FILES = {
    "server": ("fed_server.json", "rootCA.pem", "server.crt", "server.key"),
    "admin": ("fed_admin.json", "rootCA.pem", "client.crt", "client.key"),
    "worker": ("fed_client.json", "rootCA.pem", "client.crt", "client.key"),
}


def make_kits(
    out: Path,
    *,
    project: str,
    server_name: str,
    hosts: Sequence[str],
    workers: Sequence[str],
    port: int,
    valid_days: int = VALID_DAYS,
) -> None:
    """Writes the kits of a job below `out`, all signed by a new authority whose key is not kept.

    Args:
        out: The folder; made if absent, each kit in a folder of its own, files with mode 0600.
        project: The job's name; every certificate carries it.
        server_name: The host name that clients connect to and that the certificate is for.
        hosts: Further names of the server; `localhost` is needed by the admin session.
        workers: The workers' names.
        port: TCP port of the federation and of the admin session.
        valid_days: How long the certificates are valid.
    """
    from nvflare.lighter.entity import Project
    from nvflare.lighter.impl.signature import SignatureBuilder
    from nvflare.lighter.impl.static_file import StaticFileBuilder
    from nvflare.lighter.impl.workspace import WorkspaceBuilder
    from nvflare.lighter.provisioner import Provisioner

    provision = Project(project, "fedjob", props={"api_version": 3})
    provision.set_server(
        "server",
        ORGANISATION,
        {
            "fed_learn_port": port,
            "admin_port": port,
            "default_host": server_name,
            "host_names": list(dict.fromkeys(["localhost", *hosts])),
        },
    )
    for worker in workers:
        provision.add_client(worker, ORGANISATION, {})
    provision.add_admin(ADMIN_NAME, ORGANISATION, {"role": "project_admin"})
    builders = [
        WorkspaceBuilder(["master_template.yml"]),
        StaticFileBuilder(scheme="grpc"),
        _certificates(valid_days),
        SignatureBuilder(),
    ]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        Provisioner(scratch, builders).provision(provision)
        produced = Path(scratch) / project / "prod_00"
        _take(produced / "server" / "startup", out / "server", _FILES["server"])
        _take(produced / ADMIN_NAME / "startup", out / "admin", _FILES["admin"])
        for worker in workers:
            _take(produced / worker / "startup", out / worker, _FILES["worker"])


def _certificates(valid_days: int) -> Any:
    """NVFlare's builder of certificates, with two differences.

    A site's certificate is valid as long as its authority, where NVFlare ends it after 360 days. It
    says whether it is for a server or for a client, so that no worker can pose as the server, even
    to a peer that does not compare names.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID
    from nvflare.lighter.impl.cert import CertBuilder

    class SiteCertificates(CertBuilder):
        def _generate_cert(
            self, *args: Any, ca: bool = False, server: Any = None, **options: Any
        ) -> Any:
            if not ca:
                side = (
                    ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
                )
                usage = (x509.ExtendedKeyUsage([side]), False)
                options["extra_extensions"] = options.get("extra_extensions") or [usage]
                options["not_valid_after"] = self.root_cert.not_valid_after_utc
            return super()._generate_cert(*args, ca=ca, server=server, **options)

    return SiteCertificates(root_valid_days=valid_days)


def _take(source: Path, target: Path, names: Sequence[str]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, mode=0o700)
    for name in names:
        shutil.copyfile(source / name, target / name)
        (target / name).chmod(0o600)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: prints one JSON line that lists the kits made."""
    parser = argparse.ArgumentParser(
        prog="python -m fedjob_runtime.nvflare_site.provisioning", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--project", default="fedjob")
    parser.add_argument("--server-name", required=True)
    parser.add_argument("--host", action="append", default=[])
    parser.add_argument("--fl-port", type=int, required=True)
    parser.add_argument("--worker", action="append", default=[], required=True)
    parser.add_argument("--valid-days", type=int, default=VALID_DAYS)
    args = parser.parse_args(argv)
    # The provisioner prints what it makes, private paths among it; nobody needs that.
    with open(os.devnull, "w") as silent:
        stdout, sys.stdout = sys.stdout, silent
        try:
            make_kits(
                args.out,
                project=args.project,
                server_name=args.server_name,
                hosts=args.host,
                workers=args.worker,
                port=args.fl_port,
                valid_days=args.valid_days,
            )
        finally:
            sys.stdout = stdout
    sys.stdout.write(json.dumps({"kits": ["server", "admin", *args.worker]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
