package detect

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// The response of a health watch costs Consul a scan of all checks with the status, so the pause grows with them.
	minHealthPause      = 200 * time.Millisecond
	maxHealthPause      = 5 * time.Second
	healthPausePerCheck = 500 * time.Microsecond
)

// checkKey identifies a health check.
type checkKey struct{ partition, namespace, node, check string }

// checkSubject is the instance that a check is about, and the kind of the check. The output of the check is not part of it.
type checkSubject struct{ service, serviceID, kind string }

// watchHealth watches the checks with a status. The caller holds Detector.mu.
func (d *Detector) watchHealth(ctx context.Context, status string) {
	w := &changeWatch[checkKey, checkSubject]{
		services: func(key checkKey, before, after checkSubject) []string {
			return slices.Concat(d.checkedServices(key.node, before), d.checkedServices(key.node, after))
		},
		pause: func(checks int) time.Duration {
			return min(max(time.Duration(checks)*healthPausePerCheck, minHealthPause), maxHealthPause)
		},
	}
	watch(ctx, d, "checks", status+" checks",
		func(q *api.QueryOptions) (api.HealthChecks, *api.QueryMeta, error) {
			return d.API.Health().State(status, q)
		},
		func(body api.HealthChecks) map[checkKey]checkSubject {
			checks := make(map[checkKey]checkSubject, len(body))
			for _, c := range body {
				key := checkKey{c.Partition, c.Namespace, strings.ToLower(c.Node), c.CheckID}
				checks[key] = checkSubject{c.ServiceName, c.ServiceID, c.Type}
			}
			return checks
		}, w)
}

// checkedServices returns the services that a check is about. The check of a node is about all services on the node. The service
// name in a check can be outdated, so the instance index comes first.
func (d *Detector) checkedServices(node string, c checkSubject) []string {
	names := d.instances.servicesOn(node, c.serviceID)
	if len(names) == 0 && c.service != "" {
		names = []string{c.service}
	}
	return names
}
