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

// A recorder is a sink that keeps what it was told, as text.
type recorder struct {
	mu     sync.Mutex
	told   []string
	latest map[string]catalog.Service
	// first and last are when the first and the last update were observed.
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

// A play is a source and what it told, logged and counted.
type play struct {
	t        *testing.T
	source   *Source
	sink     *recorder
	log      *testbed.Log
	registry *prometheus.Registry
}

// run plays the script for a time, the fake one of a synctest bubble. All steps must have been used then.
func (s *script) run(d time.Duration, opts Options) *play {
	s.t.Helper()
	p := newPlay(s.t)
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
			s.t.Errorf("%s: %d steps were not asked for, the next is %+v", path, len(steps), steps[0])
		}
	}
	return p
}

func newPlay(t *testing.T) *play {
	return &play{t: t, sink: &recorder{}, log: &testbed.Log{}, registry: prometheus.NewRegistry()}
}

// open makes the source, with a log and metrics of its own.
func (p *play) open(opts Options) {
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

// told checks everything that the sink was told.
func (p *play) told(want ...string) {
	p.t.Helper()
	if got := p.sink.all(); !slices.Equal(got, want) {
		p.t.Errorf("the sink was told\n  %q, expected\n  %q\nlog:\n%s", got, want, p.log)
	}
}

// logged checks how many lines of the log hold the text.
func (p *play) logged(text string, want int) {
	p.t.Helper()
	got := 0
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, text) {
			got++
		}
	}
	if got != want {
		p.t.Errorf("%q is in %d lines of the log, expected %d:\n%s", text, got, want, p.log)
	}
}

// metric checks a figure; labels are "name=value".
func (p *play) metric(name string, want float64, labels ...string) {
	p.t.Helper()
	if got := metric(p.t, p.registry, name, labels...); got != want {
		p.t.Errorf("%s%v is %v, expected %v", name, labels, got, want)
	}
}

// metric returns the sum of a figure's series that have the labels.
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
