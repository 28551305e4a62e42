package dns

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

const benchServices = 10_000

func BenchmarkAnswer(b *testing.B) {
	s := loaded(false, benchServices)
	query := new(dns.Msg).SetQuestion("saaa.service.consul.", dns.TypeA)
	query.SetEdns0(1232, false)
	b.ReportAllocs()
	for b.Loop() {
		s.ServeDNS(&discard{udp: true}, query)
	}
}

// still is a state that never changes.
type still struct{}

func (still) Desired(mesh.Name) contract.Desired          { return contract.Desired{} }
func (still) Names() []mesh.Name                          { return nil }
func (still) Complete() bool                              { return true }
func (still) Restored() bool                              { return true }
func (still) Written(mesh.Name, uint64) (since time.Time) { return since }

// TestBench measures how many queries a second the process answers over loopback, and how long each takes. Server and
// callers share one core, so it is the least that one core answers.
func TestBench(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("set BENCH=1, or run make bench")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	during := 5 * time.Second
	if os.Getenv("BENCH") == "quick" {
		during = time.Second
	}
	var rows []bench.Row
	for _, network := range []string{"udp", "tcp"} {
		for _, callers := range []int{1, 32} {
			rate, took := measure(t, network, callers, during)
			row := bench.Row{Line: 9, What: network, Size: fmt.Sprintf("%d callers, %d services", callers, benchServices)}
			microseconds := func(p int) float64 { return 1000 * bench.Percentile(bench.Milliseconds(took), p) }
			add := func(figure string, value float64, unit string) {
				row.Figure, row.Value, row.Unit = figure, value, unit
				rows = append(rows, row)
			}
			add("queries a second", rate, "")
			add("p50", microseconds(50), "µs")
			add("p99", microseconds(99), "µs")
		}
	}
	bench.Add(t, rows...)
}

func measure(t *testing.T, network string, callers int, during time.Duration) (rate float64, took []time.Duration) {
	t.Helper()
	options := loaded(false, 0).options
	options.Address = "127.0.0.1:0"
	s, err := Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	s.table = loaded(false, benchServices).table
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, still{}) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for s.Ready() != nil {
		runtime.Gosched()
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		end   = time.Now().Add(during)
	)
	for range callers {
		group.Go(func() {
			mine, err := call(network, s.Address(), end)
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, mine...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	return float64(len(took)) / during.Seconds(), took
}

// call asks one query after the other, as packets that were made before.
func call(network, address string, end time.Time) (took []time.Duration, err error) {
	raw, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	connection := &dns.Conn{Conn: raw}
	query, err := new(dns.Msg).SetQuestion("saaa.service.consul.", dns.TypeA).Pack()
	if err != nil {
		return nil, err
	}
	answer := make([]byte, 1232)
	for began := time.Now(); began.Before(end); began = time.Now() {
		if _, err := connection.Write(query); err != nil {
			return took, err
		}
		if err := raw.SetReadDeadline(began.Add(10 * time.Second)); err != nil {
			return took, err
		}
		n, err := connection.Read(answer)
		if err != nil {
			return took, err
		}
		if n < 40 || answer[3]&0xf != 0 {
			return took, fmt.Errorf("answered %x", answer[:n])
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
