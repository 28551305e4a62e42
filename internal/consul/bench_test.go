package consul

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	results "github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

const (
	benchIdle    = 10 * time.Second
	benchSingles = 3
	// benchQueries is the number of concurrent index queries, as in a scan.
	benchQueries = 8
	benchRate    = 50 // changes per second
	benchChurn   = 20 * time.Second
	// benchLimit is the time limit of one part of a measurement.
	benchLimit = 90 * time.Second
)

// benchWay is a way to follow the catalog.
type benchWay struct {
	name         string
	https, naive bool
	connections  int
}

// TestBench prints the cost of each way to follow a catalog. "make bench" runs it. BENCH_SIZE is "SERVICESxINSTANCES".
func TestBench(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip(`it measures and asserts little; run it with "make bench"`)
	}
	for _, size := range strings.Fields(cmp.Or(os.Getenv("BENCH_SIZE"), "1000x3 10000x10")) {
		var services, instances int
		if _, err := fmt.Sscanf(size, "%dx%d", &services, &instances); err != nil {
			t.Fatalf("BENCH_SIZE: %q: %v", size, err)
		}
		t.Run(size, func(t *testing.T) {
			b := newBench(t, services, instances)
			b.find(t)
			for _, way := range []benchWay{
				{name: "HTTPS", https: true, connections: 60},
				{name: "plain HTTP", connections: 60},
				{name: "naive: list, then all", naive: true},
				{name: "naive: a connection each", connections: services + 100},
			} {
				if only := os.Getenv("BENCH_WAY"); only == "" || strings.Contains(way.name, only) {
					t.Run(way.name, func(t *testing.T) { b.measure(t, way) })
				}
			}
		})
	}
}

func (b *bench) measure(t *testing.T, way benchWay) {
	ctx, cancel := context.WithCancel(t.Context())
	f := b.follow(t, ctx, way)
	defer func() { cancel(); f.end() }()
	var rows []results.Row
	defer func() { results.Add(t, rows...) }()
	report := func(figure string, value float64, unit string) {
		rows = append(rows, results.Row{
			Line: 8, What: way.name, Figure: figure, Value: value, Unit: unit,
			Size: fmt.Sprintf("%dx%d on %d nodes", b.services, b.instances, b.nodes),
		})
	}
	start := b.meter(f)
	if !within(benchLimit, f.sink.isSynced) {
		t.Logf("start: not complete after %s", benchLimit)
		return
	}
	started := start()
	t.Logf("start:   %s", started)
	report("start", started.took.Seconds(), "s")
	f.settle()
	meter := b.meter(f)
	time.Sleep(benchIdle)
	idle := meter()
	t.Logf("idle:    %s, in %s; %d connections at most, %d queries held", idle, benchIdle, f.wire.most.Load(), f.held())
	report("connections", float64(f.wire.most.Load()), "")
	report("queries held", float64(f.held()), "")
	report("idle: answers a second", idle.requests/idle.took.Seconds(), "")
	report("and one for each query every wait", float64(f.held())/defaultWait.Seconds(), "")
	report("idle: Consul's share of a core", 100*idle.cpu.Seconds()/idle.took.Seconds(), "%")
	b.singles(t, f, "cold", func(i int) int { return (i*7919 + 13) % b.services }, report)
	b.singles(t, f, "hot", func(int) int { return 1 }, report)
	b.churn(t, f, report)
}

// reporter adds a figure of a way to the report.
type reporter func(figure string, value float64, unit string)

// singles measures single changes, one after the other. Each measurement ends when all effects of the change are over.
func (b *bench) singles(t *testing.T, f *follower, kind string, pick func(i int) int, report reporter) {
	if kind == "hot" { // the first change makes the service hot
		b.seen(t, f, b.change(t, f.sink, pick(0)))
		f.settle()
		f.sink.late()
	}
	var late []time.Duration
	m := b.meter(f)
	for i := range benchSingles {
		if !b.seen(t, f, b.change(t, f.sink, pick(i))) {
			return
		}
		f.settle()
		late = append(late, f.sink.late()...)
	}
	used := m()
	t.Logf("%d %s changes: %s; seen after %s", benchSingles, kind, used, spread(late))
	report(kind+" change seen after, at most", results.Percentile(results.Milliseconds(late), 100), "ms")
	report(kind+": its answers", used.requests/benchSingles, "")
	report(kind+": its kB", used.bytes/1000/benchSingles, "")
	report(kind+": Consul's CPU", 1000*used.cpu.Seconds()/benchSingles, "ms")
}

func (b *bench) seen(t *testing.T, f *follower, change int) bool {
	if !within(benchLimit, func() bool { return f.sink.saw(change) }) {
		t.Logf("change %d was not seen within %s", change, benchLimit)
		return false
	}
	return true
}

// churn changes services at random and measures the delay until each change is seen.
func (b *bench) churn(t *testing.T, f *follower, report reporter) {
	f.sink.late()
	m := b.meter(f)
	ticks := time.NewTicker(time.Second / benchRate)
	defer ticks.Stop()
	first, last, stated := b.changes, 0, f.staleness()
	for end := time.Now().Add(benchChurn); time.Now().Before(end); <-ticks.C {
		last = b.change(t, f.sink, rand.N(b.services))
		stated = max(stated, f.staleness())
	}
	all := within(benchLimit, f.sink.sawAll)
	late := f.sink.late()
	used := m()
	t.Logf("%d changes at %d/s: %s; %d seen after %s; reported staleness at most %.1f s; all seen: %v",
		last-first, benchRate, used, len(late), spread(late), stated, all)
	if len(late) > 0 {
		report("50 a second: p50", results.Percentile(results.Milliseconds(late), 50), "ms")
		report("p99", results.Percentile(results.Milliseconds(late), 99), "ms")
		report("Consul's CPU for 1,000", used.cpu.Seconds()*1000/float64(last-first), "s")
	}
	if f.source != nil && len(late) > 0 && slices.Max(late).Seconds() > max(stated, 1) {
		t.Errorf("a change was seen after %s, but the reported staleness was at most %.1f s", slices.Max(late), stated)
	}
}

func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	slices.Sort(d)
	at := func(p int) time.Duration { return d[(len(d)-1)*p/100].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p99 %s, most %s", at(50), at(99), at(100))
}
