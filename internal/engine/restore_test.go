package engine

import (
	"context"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// liveStore is a diary that knows the mesh's objects, too.
type liveStore struct {
	*fakeStore
	standing map[mesh.Name][]mesh.Object
}

func (a liveStore) Load(ctx context.Context) (contract.Snapshot, error) {
	r, err := a.fakeStore.Load(ctx)
	r.Live = a.standing
	return r, err
}

// TestWhatStandsIsShown holds that outputs see what stands in the mesh until it is known what should, each service's
// until it is reported and all until the source has reported everything; and that it counts as known by nobody.
func TestWhatStandsIsShown(t *testing.T) {
	store := liveStore{newFakeStore(), map[mesh.Name][]mesh.Object{}}
	store.partial = true
	for _, label := range []string{"stays", "left"} {
		name := mesh.Name{Source: "consul", Label: label}
		service := reported("consul", label, "1")
		resources, _ := mesh.Translate(service, name, meshOptions())
		store.standing[name], store.services[service.Key] = resources.Objects, service
	}
	store.standing[mesh.Name{Source: "gone", Label: "web"}] = store.standing[mesh.Name{Source: "consul", Label: "left"}]
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, Options{Store: store, Rules: Rules{Mesh: meshOptions()}}, out, source)
	eventually(t, []string{"left", "stays"}, out.labels)
	if d := e.Desired(mesh.Name{Source: "consul", Label: "left"}); d.Authoritative || !e.Restored() || e.Complete() {
		t.Errorf("known %v, recalled %v, complete %v", d.Authoritative, e.Restored(), e.Complete())
	}
	source.report(reported("consul", "stays", "1", "2"))
	eventually(t, 3, func() int { return len(e.Desired(mesh.Name{Source: "consul", Label: "stays"}).Objects) })
	source.report(catalog.Service{Key: catalog.Key{Source: "consul", Name: "left"}})
	source.complete()
	eventually(t, []string{"stays"}, out.labels)
	eventually(t, true, func() bool { return e.Desired(mesh.Name{Source: "consul", Label: "left"}).Authoritative })
}
