"""Names and settings that a user's machine may have and that a local run must not stumble over."""

import os
import sys
import venv
from pathlib import Path

NAME = """it's "my" $HOME; {out}, ünï & #1 ~ %s"""
"""Blanks, both quotes, what shells and format strings expand, a comma, letters beyond ASCII."""


def settings(folder: Path) -> dict[str, str]:
    """Environment variables that concern other programs, or point nowhere."""
    home = folder / f"home {NAME}"
    temporary = folder / f"tmp {NAME}"
    aws = home / ".aws"
    for made in (aws, temporary):
        made.mkdir(parents=True)
    for name in ("config", "credentials"):
        (aws / name).write_text("[not an ini\nfile = ]", encoding="utf-8")
    startup = folder / "startup.py"
    startup.write_text("raise SystemExit('PYTHONSTARTUP was run')", encoding="utf-8")
    return {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C",
        "LC_ALL": "C",
        **dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"), "/nowhere"),
        **AWS,
        **PROXIES,
        "GRPC_POLL_STRATEGY": "none of them",
        "GRPC_DNS_RESOLVER": "none of them",
        "NVFL_JOB_STORE_ROOT": "/nowhere",
        "NVFLARE_POLL_INTERVAL": "none",
        "FL_LOG_LEVEL": "CRITICAL",
        "PYTHONSTARTUP": str(startup),
        "PYTHONOPTIMIZE": "2",
        "PYTHONIOENCODING": "ascii",
        "PYTHONWARNINGS": "error::ResourceWarning",
    }


AWS = {
    "AWS_PROFILE": "corp-sso",
    "AWS_DEFAULT_PROFILE": "corp-sso",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
    "AWS_DEFAULTS_MODE": "odd",
    "AWS_STS_REGIONAL_ENDPOINTS": "odd",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "odd",
    "AWS_RETRY_MODE": "odd",
    "AWS_MAX_ATTEMPTS": "many",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ENDPOINT_URL_S3": "nonsense",
    "AWS_CA_BUNDLE": "/nowhere/ca.pem",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "odd",
    "AWS_ACCESS_KEY_ID": "MINE",
    "AWS_SECRET_ACCESS_KEY": "MINE-TOO",
    "AWS_SESSION_TOKEN": "MINE-AS-WELL",
}
"""Of these each alone stops or misleads a boto3 client that reads it."""

PROXIES = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1"),
    **dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:1"),
    "no_grpc_proxy": "intra.example",
}
"""Nothing answers there: whatever takes the proxy fails."""


def interpreter_in(folder: Path) -> Path:
    """A virtual environment in `folder` whose packages are those of this interpreter."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    paths = [entry for entry in sys.path if entry and Path(entry).is_dir()]
    (site / "same.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return folder / "bin" / "python"


def environment_of(folder: Path) -> dict[str, str]:
    """The whole environment: the settings, and of ours what a shell always has."""
    return {"PATH": os.environ["PATH"], **settings(folder)}
