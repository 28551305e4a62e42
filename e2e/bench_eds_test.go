package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/testbed"
	"github.com/isthmus-mesh/isthmus/internal/testbed/bench"
)

// measureEDS times single changes from the write to Consul to the endpoint at a client of istiod, by both outputs. istiod
// itself waits for a debounce after the last event, which bounds it from below.
func (b *bed) measureEDS(t *testing.T) {
	b.running(t)
	b.timeEDS(t, "output kube", 210, testbed.IstiodOptions{})

	b.stopIsthmus()
	b.deleteAll(t, namespace) // or istiod would have everything twice
	port, err := b.run.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	b.startIsthmus(t, way{output: "xds=" + address, args: []string{"--xds-plaintext"}})
	t.Cleanup(b.stopIsthmus)
	b.ready(t)
	b.quiet(t)
	b.timeEDS(t, "output xds", 211, testbed.IstiodOptions{ConfigSources: []string{fmt.Sprintf("{address: \"xds://%s\"}", address)}})
}

func (b *bed) timeEDS(t *testing.T, what string, net int, options testbed.IstiodOptions) {
	t.Helper()
	istiod, err := b.run.StartIstiodWith(t.Context(), b.kube, options)
	if err != nil {
		t.Fatal(err)
	}
	defer istiod.Stop()
	client := newEDSClient(t, istiod.XDS, "outbound|80||"+numberedService(0)+".service.consul")
	c := changer{benchCatalog: b.catalog, consul: b.catalog.client(t)}
	trials := 100
	if quick() {
		trials = 12
	}
	var took []time.Duration
	for n := range trials {
		time.Sleep(3 * debounce) // each change by itself
		began := time.Now()
		address, _ := c.address(t, numberedService(0), 0, net, n)
		client.until(t, address)
		took = append(took, time.Since(began))
	}
	bench.Add(t, bench.Compare(bench.Row{Line: 2, What: what, Size: b.String()}, took, []time.Duration{debounce}, nil)...)
}
