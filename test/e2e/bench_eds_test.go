package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// measureEDS measures the time of single changes from the write to Consul to the endpoint at a client of istiod, with
// both outputs. The lower bound is the debounce of istiod after the last event.
func (b *bed) measureEDS(t *testing.T) {
	b.running(t)
	b.timeEDS(t, "output kube", 210, b.kube, testbed.IstiodOptions{})

	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	b.startIsthmus(t, benchSetup{output: "xds=" + address, args: []string{"--xds-plaintext"}})
	t.Cleanup(b.stopIsthmus)
	b.ready(t)
	b.quiet(t)
	// Without this istiod would have each object twice, also from the Kubernetes API.
	b.timeEDS(t, "output xds", 211, anotherKube(t), testbed.IstiodOptions{ConfigSources: []string{fmt.Sprintf("{address: \"xds://%s\"}", address)}})
}

func (b *bed) timeEDS(t *testing.T, what string, net int, kube *testbed.Kube, options testbed.IstiodOptions) {
	t.Helper()
	istiod, err := b.run.StartIstiodWith(t.Context(), kube, options)
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
		time.Sleep(3 * debounce) // so that changes do not overlap
		began := time.Now()
		address, _ := c.address(t, numberedService(0), 0, net, n)
		client.until(t, address)
		took = append(took, time.Since(began))
	}
	bench.Add(t, bench.Compare(bench.Row{Line: 2, What: what, Size: b.String()}, took, []time.Duration{debounce}, nil)...)
}
