# kind, kubectl and helm: from PATH if the version is suitable, else installed with `go install`, in
# pinned versions, into Go's bin folder. Sourced, not executed.

PATH=$(go env GOPATH 2>/dev/null || echo "$HOME/go")/bin:$PATH

go_install() {
  local name=$1 folder=$2 package=$3
  command -v go >/dev/null || fail "$name is not installed, nor is Go to build it; install one of them"
  say "installing $name"
  (cd "$folder" && CGO_ENABLED=0 nice -n 19 go install -trimpath -ldflags "-s -w${4:-}" "$package")
  hash -r
}

version_stamp() {
  local stamp="" package
  for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
    stamp+=" -X $package.gitVersion=$kubernetes_version -X $package.gitMajor=1"
    stamp+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$kubernetes_version") -X $package.gitTreeState=clean"
  done
  echo "$stamp"
}

# kubectl supports API servers one minor version away from its own.
kubectl_serves() {
  local minor server
  server=$(cut -d. -f2 <<<"$kubernetes_version")
  minor=$(kubectl version --client 2>/dev/null | sed -n 's/^Client Version: v1\.\([0-9]*\).*/\1/p')
  [[ -n $minor ]] && ((minor >= server - 1 && minor <= server + 1))
}

require_programs() {
  local node=$cluster_dir/node
  [[ $(kind version -q 2>/dev/null) =~ ^v?0\.(3[0-9]|[4-9][0-9]) ]] ||
    go_install kind "$node/programs" sigs.k8s.io/kind
  kubectl_serves || go_install kubectl "$node/kubernetes" k8s.io/kubernetes/cmd/kubectl "$(version_stamp)"
  [[ $(helm version --short 2>/dev/null) =~ ^v?(3|4)\. ]] ||
    go_install helm "$project" "helm.sh/helm/v3/cmd/helm@$helm_version"
}
