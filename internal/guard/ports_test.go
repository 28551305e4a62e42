package guard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestPortsAreNoInstances verifies that the guard counts endpoints and not the registrations of their ports: of twelve
// endpoints with three ports, three may leave at once by default, although nine registrations do.
func TestPortsAreNoInstances(t *testing.T) {
	servers := func(count int) catalog.Service {
		s := catalog.Service{Key: catalog.Key{Source: "consul", Name: "nomad"}, Datacenter: "dc1"}
		for n := range count {
			for port, tag := range []string{"http", "rpc", "serf"} {
				s.Instances = append(s.Instances, catalog.Instance{
					ID: catalog.InstanceID{Node: fmt.Sprintf("n%02d", n), ServiceID: tag}, Address: fmt.Sprintf("10.0.0.%d", n+1), Port: 4646 + port,
					Tags: []string{tag}, Health: catalog.Passing, Weights: catalog.Weights{Passing: 1, Warning: 1},
				})
			}
		}
		catalog.MarkEndpoints(s.Instances)
		return s
	}
	options := guard.Options{Window: time.Minute, Instances: 0.2, FewInstances: 3, Services: 0.1, FewServices: 1, Serving: (mesh.Options{}).Serves}
	for left, held := range map[int]int{9: 0, 8: 4} {
		g := guard.New(options)
		now := time.Unix(1_800_000_000, 0)
		g.Report(now, servers(12))
		g.Synced(now, true)
		g.Report(now.Add(time.Second), servers(left))
		if hold, _ := g.Hold(); hold.Instances != held {
			t.Errorf("%d of 12 endpoints are left: %d are held, want %d", left, hold.Instances, held)
		}
	}
}
