package consul

import (
	"testing"
	"time"
)

// TestEmptyStart starts at an empty Consul, where no reads are pending. It verifies that the source follows the first
// registration at once.
func TestEmptyStart(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names()), sent(10).later(time.Second).says(20, names("web")))
	s.service("web", sent(0).says(20, instances("web", "n1/1")), sent(20).later(time.Second).says(21, instances("web", "n1/1", "n1/2")))
	p := s.run(5*time.Second, Options{})
	if told := p.of("web"); len(told) != 2 || told[1] != "n1/1 n1/2" {
		t.Errorf("got the updates %q", told)
	}
}
