package kube

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestManyServicesInANamespace verifies that the log has one warning when a namespace has more services than istiod handles
// well; and none if services are spread over shards, or have no WorkloadEntries.
func TestManyServicesInANamespace(t *testing.T) {
	for _, c := range []struct {
		name     string
		services int
		shards   int
		inline   bool
		want     int
	}{
		{"few", maxServicesPerNamespace, 0, false, 0},
		{"many", maxServicesPerNamespace * 2, 0, false, 1},
		{"many in shards", maxServicesPerNamespace * 2, 4, false, 0},
		{"too many in shards", maxServicesPerNamespace * 5, 4, false, 1},
		{"many with inline endpoints", maxServicesPerNamespace * 2, 0, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &testbed.Log{}
			s := newServices(slog.New(slog.NewTextHandler(log, nil)))
			placement := mesh.Placement{Base: "ns", Shards: c.shards}
			for n := range c.services {
				name := mesh.Name{Source: "consul", Label: fmt.Sprint("s", n)}
				spec := &networking.ServiceEntry{}
				if !c.inline {
					spec.WorkloadSelector = &networking.WorkloadSelector{}
				}
				entry := mesh.Object{Namespace: placement.Namespace(name), Spec: spec}
				for range 2 { // A service that is written again counts once.
					s.setWritten(name, contract.Desired{Resources: mesh.Resources{Objects: []mesh.Object{entry}}})
				}
			}
			if got := strings.Count(log.String(), MessageCrowded); got != c.want {
				t.Errorf("%d warnings, want %d:\n%s", got, c.want, log)
			}
		})
	}
}

// TestServiceState verifies that the state of a service is dropped when none of it remains.
func TestServiceState(t *testing.T) {
	s := newServices(slog.New(slog.DiscardHandler))
	web := mesh.Name{Source: "consul", Label: "web"}
	s.startInitialSync([]mesh.Name{web})
	s.startInitialSync(nil)
	if err := s.ready(true); err == nil {
		t.Error("ready before the first write")
	}
	first := s.startRemoval(web)
	if again := s.startRemoval(web); !again.Equal(first) {
		t.Errorf("the removal started at %s and at %s", first, again)
	}
	s.finishInitial(web)
	s.finishInitial(web)
	if err := s.ready(true); err != nil || s.initialPending != 0 {
		t.Errorf("after the first write: %v, %d pending", err, s.initialPending)
	}
	s.endRemoval(web)
	if len(s.states) > 0 {
		t.Errorf("states %v", s.states)
	}
}
