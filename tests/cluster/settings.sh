# Names, versions and paths shared by the scripts in this folder. Sourced, not executed.

cluster=fedjob
kubernetes_version=v1.36.3
helm_version=v3.22.0
registry=fedjob-registry
registry_port=${FEDJOB_REGISTRY_PORT:-5001}

cluster_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$cluster_dir/../.." && pwd)
kubeconfig=$project/.cache/kubeconfig

say() { echo "== $*" >&2; }
fail() { echo "error: $*" >&2; exit 1; }
