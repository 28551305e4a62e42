package consul

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// hugeTags returns a change of a registration that adds 30 MB of tags that no other registration has.
func hugeTags(id string) func(*api.CatalogRegistration) {
	return func(r *api.CatalogRegistration) {
		for i := range 3000 {
			r.Service.Tags = append(r.Service.Tags, fmt.Sprintf("%s-%d-%s", id, i, strings.Repeat("x", 10_000)))
		}
	}
}

// TestHugeTags verifies on a real Consul that a service whose tags make the list of names larger than any limit harms only
// itself: another service leaves, a new one comes, and a restart completes its initial sync.
func TestHugeTags(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	s.register("n1", "web0-1", "web0")
	s.register("n1", "web1-1", "web1")
	opts := Options{Config: &api.Config{Address: s.Address}, Wait: time.Minute}
	p := runReal(t, opts)
	p.expect(t, "web0", "n1/web0-1")
	for _, id := range []string{"evil-1", "evil-2", "evil-3"} {
		s.register("n2", id, "evil", hugeTags(id))
	}
	s.deregister("n1", "web0-1")
	s.register("n1", "new1-1", "new1")
	p.expect(t, "web0", "n1/web0-1", "")
	p.expect(t, "new1", "n1/new1-1")
	eventually(t, "the service with the tags is reported", func() bool {
		return metric(t, p.registry, "isthmus_consul_failing_queries", "reason=too_large") == 1
	})

	b := startFakeEngine(t, opts, "web0: n1/web0-1", "web1: n1/web1-1")
	want := "new1: n1/new1-1\nweb1: n1/web1-1"
	eventually(t, "the restart has the services of Consul", func() bool { return b.said() == want })
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.synced, []bool{true}) {
		t.Errorf("Synced was called with complete = %v", b.synced)
	}
}
