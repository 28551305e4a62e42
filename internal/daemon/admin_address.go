package daemon

import (
	"cmp"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

const (
	// podVariable is an environment variable that the kubelet sets in each container.
	podVariable = "KUBERNETES_SERVICE_HOST"
	// adminInPod accepts the probes of the kubelet and Prometheus, which connect to the address of the pod.
	adminInPod = ":8080"
	// adminElsewhere accepts programs of this machine only, because the pages need no authentication.
	adminElsewhere = "127.0.0.1:8080"
)

// adminAddress returns the address of the admin server.
func adminAddress(c config.Admin, getenv func(string) string) string {
	if getenv(podVariable) != "" {
		return cmp.Or(c.Address, adminInPod)
	}
	return cmp.Or(c.Address, adminElsewhere)
}
