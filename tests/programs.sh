#!/usr/bin/env bash
# What the tests need beside Python: a browser, a registry, shells, a Docker daemon, helm. Does
# nothing where they are there; where they cannot be had, the tests say what they miss (and fail in
# CI).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bash "$here/setup-chromium.sh"
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
source "$here/cluster/settings.sh"
source "$here/cluster/docker.sh"
command -v docker-registry >/dev/null || install_packages docker-registry
for shell in zsh fish; do command -v "$shell" >/dev/null || install_packages "$shell"; done
start_docker
source "$here/cluster/programs.sh"
[[ $(helm version --short 2>/dev/null) =~ ^v?(3|4)\. ]] || ! command -v go >/dev/null ||
  go_install helm "$project" "helm.sh/helm/v3/cmd/helm@$helm_version"
