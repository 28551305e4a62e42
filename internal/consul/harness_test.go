package consul

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// recorder is a sink that keeps its updates as text.
type recorder struct {
	mu     sync.Mutex
	told   []string
	latest map[string]catalog.Service
	// first is the time of the first observed update. last is the time of the last one.
	first, last time.Time
}

func (r *recorder) Update(service catalog.Service, observed time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() {
		r.first = observed
	}
	r.last = observed
	text := service.Name + ":"
	for _, i := range service.Instances {
		text += " " + i.ID.Node + "/" + i.ID.ServiceID
	}
	if service.Partial {
		text += " partly"
	}
	r.told = append(r.told, text)
	if r.latest == nil {
		r.latest = map[string]catalog.Service{}
	}
	r.latest[service.Name] = service
}

func (r *recorder) Synced(source string, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := "synced " + source; whole {
		r.told = append(r.told, text)
	} else {
		r.told = append(r.told, text+" partly")
	}
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// play is a source with a recording sink, its own log and its own metrics.
type harness struct {
	t        *testing.T
	source   *Source
	sink     *recorder
	log      *testbed.Log
	registry *prometheus.Registry
}

// run plays the script for a duration in the fake time of a synctest bubble. All steps must be used by then.
func (s *fakeConsul) run(d time.Duration, opts Options) *harness {
	s.t.Helper()
	p := newHarness(s.t)
	synctest.Test(s.t, func(t *testing.T) {
		if opts.Config == nil {
			opts.Config = &api.Config{Token: "token"}
		}
		p.open(opts)
		p.source.client.NewTransport = func(int) http.RoundTripper { return s }
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if err := p.source.Run(ctx, p.sink); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	for path, steps := range s.steps {
		if len(steps) != 0 {
			s.t.Errorf("%s: %d steps are unused, the next one is %+v", path, len(steps), steps[0])
		}
	}
	return p
}

func newHarness(t *testing.T) *harness {
	return &harness{t: t, sink: &recorder{}, log: &testbed.Log{}, registry: prometheus.NewRegistry()}
}

// open creates the source with its own log and metrics.
func (p *harness) open(opts Options) {
	opts.Name = "test"
	if opts.Config == nil {
		opts.Config = &api.Config{Address: "consul.invalid:8500"}
	}
	opts.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	opts.Metrics = NewMetrics(p.registry)
	source, err := New(opts)
	if err != nil {
		p.t.Fatal(err)
	}
	p.source = source
}

// told checks all updates of the sink.
func (p *harness) told(want ...string) {
	p.t.Helper()
	if got := p.sink.all(); !slices.Equal(got, want) {
		p.t.Errorf("the sink got\n  %q, expected\n  %q\nlog:\n%s", got, want, p.log)
	}
}

// logged checks the number of log lines that contain the text.
func (p *harness) logged(text string, want int) {
	p.t.Helper()
	got := 0
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, text) {
			got++
		}
	}
	if got != want {
		p.t.Errorf("%q is in %d log lines, expected %d:\n%s", text, got, want, p.log)
	}
}

// metric checks the value of a metric. A label is "name=value".
func (p *harness) metric(name string, want float64, labels ...string) {
	p.t.Helper()
	if got := metric(p.t, p.registry, name, labels...); got != want {
		p.t.Errorf("%s%v is %v, expected %v", name, labels, got, want)
	}
}

// metric returns the sum of the series of a metric that have the labels.
func metric(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetName()+"="+l.GetValue()] = true
			}
			missing := slices.ContainsFunc(labels, func(l string) bool { return !have[l] })
			if !missing {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
