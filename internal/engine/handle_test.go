package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestOrderDoesNotMatter verifies that the desired state depends only on the newest report of each service and not on the
// order of the reports. Services compete for names, and two sources may be merged. It also verifies that an output that reads
// only the services it is notified of has the complete desired state.
func TestOrderDoesNotMatter(t *testing.T) {
	names := []string{"a-b", "A_b", "a.b", "a b", "a-b--9d79934ec687f3076dcb", "other"}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		var groups map[string]string
		if seed%2 == 0 {
			groups = map[string]string{"consul": "consul", "east": "consul"}
		}
		walked, told, newest := idleEngine(groups), &immediateOutput{}, map[catalog.Key]catalog.Service{}
		walked.outputs = []contract.Output{told}
		told.engine = walked
		for range 40 {
			source := []string{"consul", "east"}[random.IntN(2)]
			service := reported(source, names[random.IntN(len(names))], []string{"1", source}[:random.IntN(3)]...)
			for i := range service.Instances {
				service.Instances[i].Port = random.IntN(2) * 8080 // port 0 can't be an endpoint
			}
			newest[service.Key] = service
			walked.handle(oneUpdate(service))
		}
		fresh := idleEngine(groups)
		for _, service := range newest {
			fresh.handle(oneUpdate(service))
		}
		want := map[mesh.Name][]mesh.Object{}
		for _, name := range fresh.Names() {
			want[name] = fresh.Desired(name).Objects
		}
		for kind, got := range map[string]map[mesh.Name][]mesh.Object{"state": held(walked), "output": told.held} {
			if diff := cmp.Diff(want, got, cmp.Comparer(mesh.Object.Equal)); diff != "" {
				t.Fatalf("seed %d: the %s differs from that of a new engine (-new +walked):\n%s", seed, kind, diff)
			}
		}
	}
}

// oneUpdate returns a batch with one report.
func oneUpdate(service catalog.Service) batch {
	return batch{updates: map[catalog.Key]update{service.Key: {service: service, observed: time.Now()}}}
}

// held returns all desired objects.
func held(e *Engine) map[mesh.Name][]mesh.Object {
	all := map[mesh.Name][]mesh.Object{}
	for _, name := range e.Names() {
		all[name] = e.Desired(name).Objects
	}
	return all
}
