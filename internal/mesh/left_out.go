package mesh

import (
	"fmt"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// causes are the reasons of kinds that a source leaves out, and their explanations.
var causes = map[string]struct {
	reason Reason
	text   string
}{
	"udp":             {IsUDP, "the port is a UDP port, which Istio does not have"},
	"connect_native":  {ConnectNative, "the port accepts only the mutual TLS of Consul's mesh (Connect.Native)"},
	"connect_sidecar": {ConnectSidecar, "only the transparent proxy of Consul's mesh may call the port"},
	"kubernetes_sync": {KubernetesSync, "a Kubernetes cluster copied the service to Consul (catalog sync)"},
}

// withoutLeftOut returns the service without the instances that its source leaves out, which are findings.
func withoutLeftOut(service catalog.Service, report *report) catalog.Service {
	count := 0
	for i := range service.Instances {
		if service.Instances[i].LeftOut != 0 {
			count++
		}
	}
	if count == 0 {
		return service
	}
	effect := "the instance is skipped"
	if count == len(service.Instances) {
		effect = "the service has no other instances and no objects"
	}
	kept := make([]catalog.Instance, 0, len(service.Instances)-count)
	for _, instance := range service.Instances {
		if instance.LeftOut == 0 {
			kept = append(kept, instance)
			continue
		}
		kinds := instance.LeftOut.Names()
		if len(kinds) == 0 {
			continue // a kind in the state file of a newer version
		}
		cause := causes[kinds[0]]
		report.instance(cause.reason, instance, fmt.Sprintf(
			"%s; %s (to include it, set sources[].services.includeKinds: [%s])", cause.text, effect, strings.Join(kinds, ", "),
		))
	}
	service.Instances = kept
	return service
}

// udpPort adds a finding about a named UDP port.
func (r *report) udpPort(instance catalog.Instance, name string) {
	r.instance(IsUDP, instance, fmt.Sprintf("port %q is a UDP port, which Istio does not have; the port is skipped", clip(name)))
}
