package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

const loadRate = 50 // changes per second

// measureLoad changes the address of a random service 50 times a second, and measures the delay until the API server
// has it and the load of all processes. A change may be missing if the next change of its service has replaced it.
func (b *bed) measureLoad(t *testing.T) {
	b.running(t)
	lasts := time.Minute
	if quick() {
		lasts = 6 * time.Second
	}
	c := changer{benchCatalog: b.catalog, consul: b.catalog.client(t)}
	m := b.mirror(t, namespace)
	shares := b.shares(t)
	sent, last := map[string]time.Time{}, map[int]string{}
	every := time.NewTicker(time.Second / loadRate)
	defer every.Stop()
	for n, began := 0, time.Now(); time.Since(began) < lasts; n++ {
		<-every.C
		which, at := rand.N(b.services), time.Now()
		address, _ := c.address(t, numberedService(which), which, 202, n)
		sent[address], last[which] = at, address
	}
	rows := shares()
	for _, address := range last {
		m.awaitAddress(t, address)
	}
	var late []time.Duration
	for address, at := range sent {
		if seen, ok := m.first(address); ok {
			late = append(late, seen.Sub(at))
		}
	}
	samples := bench.Milliseconds(late)
	rows = append([]bench.Row{
		{Figure: "changes made", Value: float64(len(sent))},
		{Figure: "seen, the rest overtaken by newer ones", Value: float64(len(late))},
		{Figure: "late, p50", Value: bench.Percentile(samples, 50), Unit: "ms", Samples: samples},
		{Figure: "late, p99", Value: bench.Percentile(samples, 99), Unit: "ms"},
	}, rows...)
	for i := range rows {
		rows[i].Line, rows[i].What, rows[i].Size = 5, fmt.Sprint("for ", lasts), b.String()
	}
	bench.Add(t, rows...)
}

// shares returns a function that returns the CPU use of each process since then, in percent of one core.
func (b *bed) shares(t *testing.T) func() []bench.Row {
	t.Helper()
	processes := []*testbed.Process{b.isthmus.Process, b.consul.Process}
	if b.kube != nil {
		processes = append(processes, b.kube.APIServer, b.kube.Etcd)
	}
	began, before := time.Now(), make([]time.Duration, len(processes))
	for i, p := range processes {
		before[i] = bench.CPU(t, p.PID())
	}
	return func() (rows []bench.Row) {
		t.Helper()
		took := time.Since(began)
		for i, p := range processes {
			rows = append(rows, bench.Row{
				Figure: "CPU of " + strings.TrimSuffix(p.Name, "-node"), Unit: "%", Value: 100 * float64(bench.CPU(t, p.PID())-before[i]) / float64(took),
			})
		}
		return rows
	}
}
