# Docker daemon, Debian base images and builds, with or without access to an image registry.
# Sourced, not executed.

install_packages() {
  local missing=()
  for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [[ ${#missing[@]} -eq 0 ]] && return
  [[ $(id -u) == 0 ]] || fail "needs the packages ${missing[*]}; install them, or run this as root"
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Starts dockerd if no daemon answers. If even root lacks CAP_SYS_RESOURCE, a wrapper of runc omits
# it: otherwise no privileged container could start, and so no node.
start_docker() {
  docker info >/dev/null 2>&1 && return
  [[ $(id -u) == 0 ]] || fail "no Docker daemon answers; start it, or run this as root"
  if [[ -d /run/systemd/system ]] && systemctl start docker 2>/dev/null; then
    docker info >/dev/null 2>&1 && return
  fi
  install_packages docker.io iptables libcap2-bin
  if ! capsh --has-b=cap_sys_resource >/dev/null 2>&1; then
    install -m 755 "$cluster_dir/node/rootfs/usr/local/sbin/runc" /usr/local/sbin/runc
  fi
  say "starting dockerd"
  setsid nohup dockerd >/var/log/dockerd.log 2>&1 </dev/null 9>&- &
  for _ in $(seq 120); do docker info >/dev/null 2>&1 && return; sleep 0.5; done
  tail -20 /var/log/dockerd.log >&2
  fail "dockerd does not answer; its log is /var/log/dockerd.log"
}

# pull IMAGE [SECONDS]: succeeds if the image exists locally or can be pulled. The timeout is for
# networks that drop packets; otherwise an unreachable registry fails within seconds.
pull() {
  docker image inspect "$1" >/dev/null 2>&1 || timeout "${2:-20}" docker pull -q "$1" >/dev/null 2>&1
}

# debian_image SUITE TAG: imports a minimal Debian with this machine's CA certificates.
debian_image() {
  local suite=$1 tag=$2 root
  docker image inspect "$tag" >/dev/null 2>&1 && return
  install_packages debootstrap
  root=$(mktemp -d)
  say "building $tag from Debian's packages"
  nice -n 19 debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" >/dev/null
  awk -v dir="$root/usr/local/share/ca-certificates" \
    '/BEGIN CERTIFICATE/ {n++} n {print > (dir "/machine-" n ".crt")}' /etc/ssl/certs/ca-certificates.crt
  chroot "$root" update-ca-certificates >/dev/null 2>&1
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | docker import -c 'CMD ["bash"]' - "$tag" >/dev/null
  rm -rf "$root"
}

# runtime_base: prints the base of the project's images: debian:trixie-slim, by its digest, or a
# substitute made here.
runtime_base() {
  local public=debian:trixie-slim own=fedjob-debian:trixie
  if docker image inspect "$own" >/dev/null 2>&1; then echo "$own"; return; fi
  if pull "$public" 120; then
    docker image inspect -f '{{index .RepoDigests 0}}' "$public"
    return
  fi
  debian_image trixie "$own"
  echo "$own"
}

# build ARGUMENTS: docker build, quiet unless it fails. Uses the classic builder without buildx.
build() {
  local log status=0
  log=$(mktemp)
  docker buildx version >/dev/null 2>&1 || local -x DOCKER_BUILDKIT=0
  docker build "$@" >"$log" 2>&1 || status=$?
  [[ $status -eq 0 ]] || tail -60 "$log" >&2
  rm -f "$log"
  return $status
}
