package consul

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-cleanhttp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// follower follows the catalog in one of the benchmarked ways.
type follower struct {
	*harness
	sink     *benchSink
	wire     *wire
	requests func() float64
	end      func()
}

func (b *bench) follow(t *testing.T, ctx context.Context, way benchWay) *follower {
	f := &follower{harness: newHarness(t), sink: newBenchSink(), wire: &wire{}}
	config := &api.Config{Address: b.Address}
	if way.https {
		config.Address, config.Scheme, config.TLSConfig.CAPem = b.https, "https", b.ca
	}
	run := func() { _ = f.source.Run(ctx, f.sink) }
	if way.naive {
		run = f.naive(t, ctx, config)
	} else {
		f.open(Options{Config: config, Connections: way.connections})
		plain := f.source.client.NewTransport
		f.source.client.NewTransport = func(n int) http.RoundTripper {
			return f.wire.count(plain(n).(interface{ Transport() *http.Transport }).Transport())
		}
		f.requests = func() float64 { return metric(t, f.registry, "isthmus_consul_requests_total") }
	}
	done := make(chan struct{})
	go func() { defer close(done); run() }()
	f.end = func() { <-done }
	return f
}

// naive returns a loop that waits for a change of the list and then reads every service.
func (f *follower) naive(t *testing.T, ctx context.Context, config *api.Config) func() {
	transport := f.wire.count(cleanhttp.DefaultPooledTransport())
	config.HttpClient = &http.Client{Transport: transport}
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	f.requests = func() float64 { return float64(requests.Load()) }
	return func() {
		defer transport.CloseIdleConnections()
		q, known := (&api.QueryOptions{}).WithContext(ctx), map[string]catalog.Service{}
		for ctx.Err() == nil {
			names, meta, err := client.Catalog().Services(q)
			if err != nil {
				continue
			}
			requests.Add(1)
			for name := range names {
				entries, _, err := client.Health().Service(name, "", false, (&api.QueryOptions{}).WithContext(ctx))
				requests.Add(1)
				now := convert(catalog.Key{Name: name}, "", entries, "")
				if err == nil && !reflect.DeepEqual(known[name], now) {
					known[name] = now
					f.sink.Update(now, time.Now())
				}
			}
			if q.WaitIndex == 0 && ctx.Err() == nil {
				f.sink.Synced("", true)
			}
			q.WaitIndex = meta.LastIndex
		}
	}
}

// settle waits until no request was answered, and no further request was held, for two seconds.
func (f *follower) settle() {
	state := func() [2]int { return [2]int{int(f.requests()), f.held()} }
	last, since := state(), time.Now()
	within(benchLimit, func() bool {
		if now := state(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}

// held returns the number of queries that wait for a change.
func (f *follower) held() int {
	if f.source == nil {
		return 1
	}
	polls := f.source.polls
	return 1 + polls.InFlight()
}

func (f *follower) staleness() float64 {
	if f.source == nil {
		return 0
	}
	return metric(f.t, f.registry, stalenessGauge)
}

// spent is the resource usage of one measurement.
type spent struct {
	took, cpu       time.Duration
	requests, bytes float64
}

func (s spent) String() string {
	return fmt.Sprintf("%.2f s, %.0f requests (%.1f/s), %.1f kB, Consul CPU %.2f s",
		s.took.Seconds(), s.requests, s.requests/s.took.Seconds(), s.bytes/1000, s.cpu.Seconds())
}

// meter returns a function that returns the usage since the call of meter.
func (b *bench) meter(f *follower) func() spent {
	began, cpu, requests, bytes := time.Now(), b.cpu(), f.requests(), f.wire.bytes.Load()
	return func() spent {
		return spent{
			took: time.Since(began), cpu: b.cpu() - cpu, requests: f.requests() - requests,
			bytes: float64(f.wire.bytes.Load() - bytes),
		}
	}
}
