package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds is a set of kinds of instances that a mesh cannot call or already has. A source leaves them out unless its
// configuration includes them. State files contain the values, so a new kind goes to the end.
type Kinds uint8

const (
	// UDP instances listen on a UDP port.
	UDP Kinds = 1 << iota
	// ConnectNative instances accept only the mutual TLS of Consul's mesh.
	ConnectNative
	// ConnectSidecar instances have a port that only their sidecar of Consul's mesh may call.
	ConnectSidecar
	// KubernetesSync instances are Services and pods that a Kubernetes cluster copied to the registry.
	KubernetesSync
)

var kindNames = []string{"udp", "connect_native", "connect_sidecar", "kubernetes_sync"}

// ParseKinds returns the set of the kinds with these names.
func ParseKinds(names []string) (kinds Kinds, err error) {
	for _, name := range names {
		at := slices.Index(kindNames, name)
		if at < 0 {
			return 0, fmt.Errorf("%q is not one of %s", name, strings.Join(kindNames, ", "))
		}
		kinds |= 1 << at
	}
	return kinds, nil
}

// Names returns the names of the kinds of a set, in their order.
func (k Kinds) Names() []string {
	var names []string
	for at, name := range kindNames {
		if k&(1<<at) != 0 {
			names = append(names, name)
		}
	}
	return names
}
