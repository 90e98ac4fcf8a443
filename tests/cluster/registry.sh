# A local registry that the nodes pull from, set up as in kind's documentation:
# https://kind.sigs.k8s.io/docs/user/local-registry/. Sourced, not executed.
#
# The host pushes to localhost:PORT; nodes and pods use fedjob-registry:PORT for the same content.
# It listens only on loopback and on kind's Docker network.

registry_image() {
  if pull registry:2 60; then echo registry:2; return; fi
  local own=fedjob-registry:debian
  if ! docker image inspect "$own" >/dev/null 2>&1; then
    say "building the registry's image from Debian's packages"
    build -t "$own" --build-arg BASE="$(runtime_base)" - <"$cluster_dir/Dockerfile.registry" || return
  fi
  echo "$own"
}

start_registry() {
  local image
  [[ $(docker inspect -f '{{.State.Running}}' "$registry" 2>/dev/null) == true ]] && return
  docker rm -f "$registry" >/dev/null 2>&1 || true
  image=$(registry_image)
  docker run -d --name "$registry" --restart unless-stopped --network kind \
    -p "127.0.0.1:$registry_port:$registry_port" -e "REGISTRY_HTTP_ADDR=0.0.0.0:$registry_port" \
    -e REGISTRY_STORAGE_DELETE_ENABLED=true "$image" >/dev/null ||
    fail "the registry cannot listen on port $registry_port; free it, or set FEDJOB_REGISTRY_PORT"
}

# Configures both names in each node's containerd, and publishes the registry to tools (KEP-1755).
announce_registry() {
  local node name
  for node in $(kind get nodes --name "$cluster"); do
    for name in "localhost:$registry_port" "$registry:$registry_port"; do
      docker exec -i "$node" sh -c "mkdir -p /etc/containerd/certs.d/$name && cat > /etc/containerd/certs.d/$name/hosts.toml" \
        <<<"[host.\"http://$registry:$registry_port\"]"
    done
  done
  kubectl --kubeconfig "$kubeconfig" apply -f - >/dev/null <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: local-registry-hosting, namespace: kube-public}
data:
  localRegistryHosting.v1: |
    host: "localhost:$registry_port"
    hostFromContainerRuntime: "$registry:$registry_port"
    hostFromClusterNetwork: "$registry:$registry_port"
    help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
YAML
}
