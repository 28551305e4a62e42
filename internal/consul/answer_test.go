package consul

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestTooLargeAnswer holds that a service of which Consul says more than isthmus reads stays as it was, that this is
// said, and that it delays no other.
func TestTooLargeAnswer(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	huge := func(r *api.CatalogRegistration) {
		for i := range 100 {
			r.Service.Tags = append(r.Service.Tags, fmt.Sprint(i, strings.Repeat("x", 1000)))
		}
	}
	s.register("n1", "poison-1", "poison")
	s.register("n1", "well-1", "well")
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Wait: time.Second, answer: 64 << 10})
	p.expect(t, "poison", "n1/poison-1")
	p.expect(t, "well", "n1/well-1")

	s.register("n2", "poison-2", "poison", huge)
	eventually(t, "the trouble shows", func() bool {
		return metric(t, p.registry, "isthmus_consul_trouble", "reason=too_large") == 1
	})
	s.register("n2", "well-2", "well")
	p.expect(t, "well", "n1/well-1", "n1/well-1 n2/well-2")
	p.expect(t, "poison", "n1/poison-1")
	if log := p.log.String(); !strings.Contains(log, "larger than isthmus reads") || strings.Contains(log, "xxx") {
		t.Errorf("log:\n%s", log)
	}
}
