package e2e

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// measureChange measures the time of single changes of an address from the write to Consul to the object in the API
// server. It alternates between a service that isthmus follows and a service that a floor follows. It measures the
// floor also without isthmus.
func (b *bed) measureChange(t *testing.T) {
	b.running(t)
	floor := b.startFloor(t)
	c := changer{benchCatalog: b.catalog, consul: b.catalog.client(t)}
	ours, bare := b.mirror(t, namespace), b.mirror(t, floor.namespace)
	trials, halts := 400, 8
	if quick() {
		trials, halts = 200, 3
	}
	var took, least, alone, writes []time.Duration
	change := func(name string, index, net, n int, m *mirror) time.Duration {
		time.Sleep(20*time.Millisecond + rand.N(20*time.Millisecond)) // wait for the side effects of the change
		began := time.Now()
		address, wrote := c.address(t, name, index, net, n)
		writes = append(writes, wrote)
		return m.awaitAddress(t, address).Sub(began)
	}
	follow := func(n int) {
		which := n % b.services
		took = append(took, change(numberedService(which), which, 200, n, ours))
	}
	for n := range trials {
		if n%2 == 0 {
			follow(n)
		}
		least = append(least, change(floorService, b.services, 201, n, bare))
		if n%2 == 1 {
			follow(n)
		}
		// Other work of isthmus, such as reading the list of services, slows down the floor too. Some samples are taken
		// while isthmus is stopped.
		if (n+1)%(trials/halts) == 0 {
			b.halt(t, syscall.SIGSTOP)
			for range trials / halts {
				alone = append(alone, change(floorService, b.services, 206, len(alone), bare))
			}
			b.halt(t, syscall.SIGCONT)
			b.quiet(t)
		}
	}
	note := fmt.Sprintf("of it Consul's write: p50 %.1f ms", bench.Percentile(bench.Milliseconds(writes), 50))
	row, limits := bench.Row{Line: 1, What: "address changed", Size: b.String(), Note: note}, map[int]float64{50: 1.5, 99: 3}
	rows := bench.Compare(row, took, least, limits)
	row.What, row.Note = "the same, and isthmus halted for the floor", ""
	bench.Add(t, append(rows, bench.Compare(row, took, alone, limits)...)...)
}

// halt stops or continues isthmus by a signal.
func (b *bed) halt(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := b.isthmus.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// changer changes the catalog.
type changer struct {
	*benchCatalog
	consul *api.Client
}

// address gives the first instance of a service an unused address, and returns the time that Consul took.
func (c changer) address(t *testing.T, name string, index, net, number int) (address string, took time.Duration) {
	t.Helper()
	r := c.registration(name, index, 0)
	r.Checks = nil // they keep their addresses
	r.Service.Address = fmt.Sprintf("10.%d.%d.%d", net, number/250, number%250)
	began := time.Now()
	c.register(t, r)
	return r.Service.Address, time.Since(began)
}

func (c changer) register(t *testing.T, r *api.CatalogRegistration) {
	t.Helper()
	if _, err := c.consul.Catalog().Register(r, nil); err != nil {
		t.Fatal(err)
	}
}

func (c changer) deregister(t *testing.T, r *api.CatalogRegistration) {
	t.Helper()
	if _, err := c.consul.Catalog().Deregister(&api.CatalogDeregistration{Node: r.Node, ServiceID: r.Service.ID}, nil); err != nil {
		t.Fatal(err)
	}
}
