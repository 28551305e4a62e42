package guard_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestDefaults verifies the effect of the default limits on typical failures. docs/reliability.md refers to its results.
func TestDefaults(t *testing.T) {
	type outcome struct{ Removed, Held string }
	on := func(node int) func(int, int) bool { return func(_, n int) bool { return n == node } }
	zone := func(lost int) func(int, int) bool { return func(_, n int) bool { return n%3 < lost } }
	services := func(most int) func(int, int) bool { return func(s, _ int) bool { return s < most } }
	for _, c := range []struct {
		name                string
		services, instances int
		removed             func(service, node int) bool
		want                outcome
	}{
		{"one node of twelve", 200, 3, on(4), outcome{"50 of 600", "none"}},
		{"one node of twelve, each service has one instance", 200, 1, on(4), outcome{"17 of 200", "none"}},
		{"one zone of three", 200, 3, zone(1), outcome{"200 of 600", "none"}},
		{"one zone of three, each service has one instance", 200, 1, zone(1), outcome{"0 of 200", "67"}},
		{"two zones of three", 200, 3, zone(2), outcome{"0 of 600", "400"}},
		{"everything", 200, 3, zone(3), outcome{"0 of 600", "600"}},
		{"everything of a small fleet", 3, 2, zone(3), outcome{"0 of 6", "6"}},
		{"everything of two services", 2, 2, zone(3), outcome{"4 of 4", "none"}},
		{"two services", 10, 3, services(2), outcome{"6 of 30", "none"}},
		{"three services of ten", 10, 3, services(3), outcome{"0 of 30", "9"}},
		{"a tenth of the services", 200, 3, services(20), outcome{"60 of 600", "none"}},
		{"a few more", 200, 3, services(21), outcome{"0 of 600", "63"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := config.Default().Guard.Options()
			o.Serving = options().Serving
			w := newScenario(t, o)
			after := map[string]catalog.Service{}
			all := 0
			for s := range c.services {
				words, left := []string{fmt.Sprintf("s%03d", s)}, []string{fmt.Sprintf("s%03d", s)}
				for k := range c.instances { // 12 nodes in 3 zones; each service has instances in each zone
					node := (s + 4*k) % 12
					all++
					words = append(words, fmt.Sprint("on-", node))
					if !c.removed(s, node) {
						left = append(left, fmt.Sprint("on-", node))
					}
				}
				w.take(w.guard.Report(w.now, service(words...)))
				after[words[0]] = service(left...)
			}
			w.run("sync")
			for _, s := range after {
				w.take(w.guard.Report(w.now, s))
			}
			got := outcome{fmt.Sprintf("%d of %d", all-w.instances(), all), "none"}
			if hold, held := w.guard.Hold(); held {
				got.Held = fmt.Sprint(hold.Instances)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
