#!/usr/bin/env bash
# What the integration tests need beside Python: a browser, a registry, a Docker daemon. Does nothing
# where they are there; where they cannot be had, the tests say what they miss (and fail in CI).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bash "$here/setup-chromium.sh"
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
source "$here/cluster/settings.sh"
source "$here/cluster/docker.sh"
command -v docker-registry >/dev/null || install_packages docker-registry
start_docker
