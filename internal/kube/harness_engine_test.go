package kube

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// registry is a contract.Source that a test drives.
type registry struct{ sinks chan catalog.Sink }

func (r registry) Name() string { return "consul" }

func (r registry) Run(ctx context.Context, sink catalog.Sink) error {
	r.sinks <- sink
	<-ctx.Done()
	return nil
}

// outputWithEngine is an output with an engine.
type outputWithEngine struct {
	*engine.Engine
	output *Output
	sink   catalog.Sink
	log    *testbed.Log
	figure func(name string) float64
	stop   func()
}

// startWithEngine runs an engine with a range of virtual addresses until the test ends, or until stop.
func startWithEngine(t *testing.T, namespace, prefix string, change func(*Options)) *outputWithEngine {
	t.Helper()
	figures, log := prometheus.NewRegistry(), &testbed.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	ranges := vip.Options{IPv4: netip.MustParsePrefix(prefix), Keep: time.Hour}
	placement := mesh.Placement{Base: namespace}
	options := Options{
		REST: apiServer(t).REST, Placement: placement, Writers: 4, Addresses: ranges, Sources: []string{"consul"},
		Holds: client.ObjectKey{Namespace: namespace, Name: "isthmus-consul"}, Log: logger, Metrics: NewMetrics(figures),
	}
	if change != nil {
		change(&options)
	}
	output, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	source := registry{make(chan catalog.Sink, 1)}
	b := engine.New(engine.Options{
		Rules: engine.Rules{Mesh: newFakeState(namespace).options}, Addresses: ranges, Store: output.Store(),
		Log: logger, Metrics: engine.NewMetrics(figures),
	}, []contract.Source{source}, []contract.Output{output})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		output.http.CloseIdleConnections()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	figure := func(name string) float64 {
		families, err := figures.Gather()
		if err != nil {
			t.Error(err)
		}
		for _, family := range families {
			if family.GetName() == name {
				return family.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return 0
	}
	return &outputWithEngine{Engine: b, output: output, sink: <-source.sinks, log: log, figure: figure, stop: stop}
}

// conflictsWith reports whether a service conflicts with a foreign object.
func (b *outputWithEngine) conflictsWith(object string) bool {
	found, _ := b.output.Conflicts()
	return slices.ContainsFunc(found, func(c conflict.Conflict) bool { return c.Object == object })
}

// report reports services with one instance each.
func (b *outputWithEngine) report(names ...string) {
	for _, name := range names {
		b.sink.Update(catalog.Service{Key: catalog.Key{Source: "consul", Name: name}, Datacenter: "dc1", Instances: []catalog.Instance{{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "n1", ServiceID: name},
			Address: "10.0.0.1", Port: 8080, Health: catalog.Passing, Weights: catalog.Weights{Passing: 1, Warning: 1},
		}}}, time.Now())
	}
}

// given returns the addresses of each ServiceEntry in a namespace.
func given(t *testing.T, c client.Client, namespace string) map[string]string {
	t.Helper()
	var list networkingv1.ServiceEntryList
	if err := c.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range list.Items {
		all[entry.Name] = strings.Join(entry.Spec.Addresses, " ")
	}
	return all
}

// awaitGiven waits until a namespace has a number of ServiceEntries, and returns their addresses.
func awaitGiven(t *testing.T, c client.Client, namespace string, count int) map[string]string {
	t.Helper()
	eventually(t, count, func() int { return len(given(t, c, namespace)) })
	return given(t, c, namespace)
}
