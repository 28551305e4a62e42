package engine

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestOutcomeIsOfTheContentAlone holds that what the mesh should hold depends on the newest report of each service
// alone, not on the order of the reports, though services compete for names and two sources may be merged; and that
// an output which only looks where it is told to ends up with all of it.
func TestOutcomeIsOfTheContentAlone(t *testing.T) {
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
		for what, got := range map[string]map[mesh.Name][]mesh.Object{"state": held(walked), "output": told.held} {
			if diff := cmp.Diff(want, got, cmp.Comparer(mesh.Object.Equal)); diff != "" {
				t.Fatalf("seed %d: the %s differs from a fresh start's (-fresh +walked):\n%s", seed, what, diff)
			}
		}
	}
}

func idleEngine(groups map[string]string) *Engine {
	return New(Options{
		Rules: Rules{Mesh: meshOptions()}, Groups: groups,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	}, []contract.Source{newFakeSource("consul"), newFakeSource("east"), newFakeSource("west"), newFakeSource("alone")}, nil)
}

func oneUpdate(service catalog.Service) batch {
	return batch{updates: map[catalog.Key]update{service.Key: {service: service, observed: time.Now()}}}
}

func held(e *Engine) map[mesh.Name][]mesh.Object {
	all := map[mesh.Name][]mesh.Object{}
	for _, name := range e.Names() {
		all[name] = e.Desired(name).Objects
	}
	return all
}

// immediateOutput is an output that reads what it is told of, at once.
type immediateOutput struct {
	contract.Output
	engine *Engine
	held   map[mesh.Name][]mesh.Object
}

func (o *immediateOutput) Notify(name mesh.Name) {
	if o.held == nil {
		o.held = map[mesh.Name][]mesh.Object{}
	}
	o.held[name] = o.engine.Desired(name).Objects
	if len(o.held[name]) == 0 {
		delete(o.held, name)
	}
}
