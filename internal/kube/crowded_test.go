package kube

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/prometheus/client_golang/prometheus"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestCrowding holds that more services in a namespace than istiod bears are told of once, with the mend; and not
// where they are spread, or where there are no WorkloadEntries.
func TestCrowding(t *testing.T) {
	for _, c := range []struct {
		name     string
		services int
		shards   int
		inline   bool
		want     int
	}{
		{"few", crowded, 0, false, 0},
		{"many", crowded * 2, 0, false, 1},
		{"spread", crowded * 2, 4, false, 0},
		{"spread, still too many", crowded * 5, 4, false, 1},
		{"inline", crowded * 2, 0, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &testbed.Log{}
			o := &Output{
				log: slog.New(slog.NewTextHandler(log, nil)), metrics: NewMetrics(prometheus.NewRegistry()),
				options: Options{Placement: mesh.Placement{Base: "ns", Shards: c.shards}},
				state:   newBoard("ns"), held: map[mesh.Name]string{}, crowd: map[string]int{},
			}
			for n := range c.services {
				name := mesh.Name{Source: "consul", Label: fmt.Sprint("s", n)}
				spec := &networking.ServiceEntry{}
				if !c.inline {
					spec.WorkloadSelector = &networking.WorkloadSelector{}
				}
				entry := mesh.Object{Namespace: o.options.Placement.Namespace(name), Spec: spec}
				for range 2 { // a service that is written again is no second one
					o.finished(name, contract.Desired{Resources: mesh.Resources{Objects: []mesh.Object{entry}}}, 0)
				}
			}
			if got := strings.Count(log.String(), "set kubernetes.shards, or mesh.endpoints to inline"); got != c.want {
				t.Errorf("told %d times:\n%s", got, log)
			}
		})
	}
}
