package engine

import (
	"context"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// album is a diary that knows the mesh's objects, too.
type album struct {
	*diary
	standing map[mesh.Name][]mesh.Object
}

func (a album) Load(ctx context.Context) (contract.Snapshot, error) {
	r, err := a.diary.Load(ctx)
	r.Live = a.standing
	return r, err
}

// TestWhatStandsIsShown holds that outputs see what stands in the mesh until it is known what should, each service's
// until it is reported and all until the source has reported everything; and that it counts as known by nobody.
func TestWhatStandsIsShown(t *testing.T) {
	memory := album{newDiary(), map[mesh.Name][]mesh.Object{}}
	memory.partly = true
	for _, label := range []string{"stays", "left"} {
		name := mesh.Name{Source: "consul", Label: label}
		service := reported("consul", label, "1")
		resources, _ := mesh.Translate(service, name, meshOptions())
		memory.standing[name], memory.services[service.Key] = resources.Objects, service
	}
	memory.standing[mesh.Name{Source: "gone", Label: "web"}] = memory.standing[mesh.Name{Source: "consul", Label: "left"}]
	source, out := newScript("consul"), newMirror()
	b := startWith(t, Options{Memory: memory, Rules: Rules{Mesh: meshOptions()}}, out, source)
	eventually(t, []string{"left", "stays"}, out.labels)
	if d := b.Desired(mesh.Name{Source: "consul", Label: "left"}); d.Authoritative || !b.Restored() || b.Complete() {
		t.Errorf("known %v, recalled %v, complete %v", d.Authoritative, b.Restored(), b.Complete())
	}
	source.report(reported("consul", "stays", "1", "2"))
	eventually(t, 3, func() int { return len(b.Desired(mesh.Name{Source: "consul", Label: "stays"}).Objects) })
	source.report(catalog.Service{Key: catalog.Key{Source: "consul", Name: "left"}})
	source.complete()
	eventually(t, []string{"stays"}, out.labels)
	eventually(t, true, func() bool { return b.Desired(mesh.Name{Source: "consul", Label: "left"}).Authoritative })
}
