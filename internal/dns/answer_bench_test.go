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

	"github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

const benchServices = 10_000

// BenchmarkAnswer measures one answer without the network.
func BenchmarkAnswer(b *testing.B) {
	s := newLoadedServer(false, benchServices)
	query := new(dns.Msg).SetQuestion("saaa.service.consul.", dns.TypeA)
	query.SetEdns0(1232, false)
	b.ReportAllocs()
	for b.Loop() {
		s.ServeDNS(&discardWriter{udp: true}, query)
	}
}

// constantState is a contract.State that never changes.
type constantState struct{}

func (constantState) Desired(mesh.Name) contract.Desired          { return contract.Desired{} }
func (constantState) Names() []mesh.Name                          { return nil }
func (constantState) Complete() bool                              { return true }
func (constantState) Restored() bool                              { return true }
func (constantState) Written(mesh.Name, uint64) (since time.Time) { return since }

// TestBench measures the queries per second and the duration of a query over loopback. Server and clients share one core, so
// the result is a lower bound of the rate on one core.
func TestBench(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("set BENCH=1, or run make bench")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	duration := 5 * time.Second
	if os.Getenv("BENCH") == "quick" {
		duration = time.Second
	}
	var rows []bench.Row
	for _, network := range []string{"udp", "tcp"} {
		for _, callers := range []int{1, 32} {
			rate, durations := measure(t, network, callers, duration)
			row := bench.Row{Line: 9, What: network, Size: fmt.Sprintf("%d callers, %d services", callers, benchServices)}
			microseconds := func(p int) float64 { return 1000 * bench.Percentile(bench.Milliseconds(durations), p) }
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

func measure(t *testing.T, network string, callers int, duration time.Duration) (rate float64, durations []time.Duration) {
	t.Helper()
	options := newLoadedServer(false, 0).options
	options.Address = "127.0.0.1:0"
	s, err := Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	s.table = newLoadedServer(false, benchServices).table
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, constantState{}) }()
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
		end   = time.Now().Add(duration)
	)
	for range callers {
		group.Go(func() {
			own, err := call(network, s.Address(), end)
			mu.Lock()
			defer mu.Unlock()
			if durations = append(durations, own...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	slices.Sort(durations)
	return float64(len(durations)) / duration.Seconds(), durations
}

// call sends one query after the other, with packets that are encoded before.
func call(network, address string, end time.Time) (durations []time.Duration, err error) {
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
	for start := time.Now(); start.Before(end); start = time.Now() {
		if _, err := connection.Write(query); err != nil {
			return durations, err
		}
		if err := raw.SetReadDeadline(start.Add(10 * time.Second)); err != nil {
			return durations, err
		}
		n, err := connection.Read(answer)
		if err != nil {
			return durations, err
		}
		if n < 40 || answer[3]&0xf != 0 {
			return durations, fmt.Errorf("response %x", answer[:n])
		}
		durations = append(durations, time.Since(start))
	}
	return durations, nil
}
