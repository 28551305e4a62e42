package consul

import (
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// kindsOf returns the kinds of an instance that its own registration shows. An instance with the meta entry isthmus: true has
// none. Whether a sidecar protects the port is only in the registration of the sidecar.
func kindsOf(entry *api.ServiceEntry, instance catalog.Instance) (kinds catalog.Kinds) {
	if optsIn(instance) {
		return 0
	}
	if isUDP(entry.Service.Service, instance) {
		kinds |= catalog.UDP
	}
	if entry.Service.Connect != nil && entry.Service.Connect.Native {
		kinds |= catalog.ConnectNative
	}
	if isKubernetesSync(entry) {
		kinds |= catalog.KubernetesSync
	}
	return kinds
}

// optsIn reports whether an instance asks for a place in the mesh, whatever its kind.
func optsIn(i catalog.Instance) bool { return strings.EqualFold(i.Meta[optOut], "true") }

const (
	externalSource = "external-source"
	kubernetes     = "kubernetes"
	// kubernetesMeta is the prefix of meta keys that consul-k8s and katalog-sync write: external-k8s-ns, external-k8s-ref-name.
	kubernetesMeta = "external-k8s-"
	// kubernetesCheck is the type of the checks of consul-k8s.
	kubernetesCheck = "kubernetes-readiness"
	// kubernetesNode is the default name of the node of consul-k8s.
	kubernetesNode = "k8s-sync"
)

// isKubernetesSync reports whether an entry is a copy of a Service or pod of Kubernetes. The names of the node and of the tag
// can be configured in consul-k8s, so the meta has precedence. Pods that Consul's own injector registers are no copies.
func isKubernetesSync(entry *api.ServiceEntry) bool {
	if strings.EqualFold(entry.Service.Meta[externalSource], kubernetes) || strings.EqualFold(entry.Node.Node, kubernetesNode) {
		return true
	}
	for key := range entry.Service.Meta {
		if len(key) >= len(kubernetesMeta) && strings.EqualFold(key[:len(kubernetesMeta)], kubernetesMeta) {
			return true
		}
	}
	for _, check := range entry.Checks {
		if check != nil && check.ServiceID != "" && strings.EqualFold(check.Type, kubernetesCheck) {
			return true
		}
	}
	return false
}
