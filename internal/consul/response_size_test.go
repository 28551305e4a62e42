package consul

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestTooLargeAnswer verifies three properties of a service whose response exceeds the size limit: it keeps its last
// known state, the log reports the reason, and it delays no other service.
func TestTooLargeAnswer(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	huge := func(r *api.CatalogRegistration) {
		r.Service.Meta = map[string]string{}
		for i := range 60 {
			r.Service.Meta[fmt.Sprint("key", i)] = strings.Repeat("x", 500)
		}
	}
	s.register("n1", "poison-1", "poison")
	s.register("n1", "well-1", "well")
	opts := Options{Config: &api.Config{Address: s.Address}, Wait: time.Second, Limits: Limits{ResponseBytes: 16 << 10}}
	p := runReal(t, opts)
	p.expect(t, "poison", "n1/poison-1")
	p.expect(t, "well", "n1/well-1")

	s.register("n2", "poison-2", "poison", huge)
	eventually(t, "the failure is reported", func() bool {
		return metric(t, p.registry, "isthmus_consul_failing_queries", "reason=too_large") == 1
	})
	s.register("n2", "well-2", "well")
	p.expect(t, "well", "n1/well-1", "n1/well-1 n2/well-2")
	p.expect(t, "poison", "n1/poison-1")
	if log := p.log.String(); !strings.Contains(log, "the response is larger than 16384 bytes") || strings.Contains(log, "xxx") {
		t.Errorf("unexpected log:\n%s", log)
	}

	// A start that can't read the service still completes: other services can leave, and this one stays.
	s.deregister("n1", "well-1")
	s.deregister("n2", "well-2")
	b := startFakeEngine(t, opts, "poison: n1/poison-1", "well: n1/well-1")
	eventually(t, "the removed service leaves", func() bool { return b.said() == "poison: n1/poison-1" })
	s.deregister("n2", "poison-2")
	s.deregister("n1", "poison-1")
	eventually(t, "the service is readable again and leaves", func() bool { return b.said() == "" })
}
