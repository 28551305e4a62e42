package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/isthmus-mesh/isthmus/internal/testbed"
)

const (
	measuredServices = 100
	measuredChanges  = 100
)

// TestMeasure prints the figures that the documents give. "make measure" runs it.
func TestMeasure(t *testing.T) {
	if os.Getenv("MEASURE") == "" {
		t.Skip(`it measures and asserts nothing: run "make measure"`)
	}
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := &world{run: testbed.ForTest(t)}
	if err := w.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.closeIdle)
	t.Run("change", func(t *testing.T) { w.measureChanges(t) })
	t.Run("fill", func(t *testing.T) { w.measureFill(t) })
}

// measureChanges changes the address of one instance a hundred times, among a hundred services of two instances.
func (w *world) measureChanges(t *testing.T) {
	for n := range measuredServices {
		w.register(t, measured(n, 0, 1), measured(n, 1, 1))
	}
	w.awaitEndpoints(t, measured(measuredServices-1, 0, 1).cluster(), "10.20.1.99:8080", "10.21.1.99:8080")
	seen := w.watchWorkloads(t)
	requests, writes := w.metric(t, "isthmus_consul_requests_total"), w.writes(t)
	var object, endpoint []time.Duration
	for n := range measuredChanges {
		i := measured(n%measuredServices, 0, 2)
		began := time.Now()
		w.register(t, i)
		endpoint = append(endpoint, w.untilEndpoint(t, i).Sub(began))
		object = append(object, seen(i.address).Sub(began))
	}
	t.Logf("one change, %d services of 2 instances, %d changes one after the other:", measuredServices, measuredChanges)
	t.Logf("  Consul write to object in the API server: p50 %s, p99 %s", percentile(object, 50), percentile(object, 99))
	t.Logf("  Consul write to endpoint in Envoy:        p50 %s, p99 %s", percentile(endpoint, 50), percentile(endpoint, 99))
	t.Logf("  requests to Consul for a change: %.2f", (w.metric(t, "isthmus_consul_requests_total")-requests)/measuredChanges)
	t.Logf("  writes to the API server for a change: %.2f", float64(w.writes(t)-writes)/measuredChanges)
	t.Logf("  resident memory of isthmus: %.0f MiB", w.metric(t, "process_resident_memory_bytes")/(1<<20))
}

// measureFill writes a catalog into empty namespaces, in both forms.
func (w *world) measureFill(t *testing.T) {
	const count, instances = 400, 5
	for n := range count {
		for k := range instances {
			w.register(t, instance{
				service: fmt.Sprintf("fill-%03d", n), id: fmt.Sprintf("fill-%03d-%d", n, k),
				address: fmt.Sprintf("10.3%d.%d.%d", k, n/250, n%250), port: 8080,
			})
		}
	}
	w.isthmus.Stop()
	for _, form := range []string{"workloadEntry", "inline"} {
		config := filepath.Join(t.TempDir(), "isthmus.yaml")
		content := fmt.Sprintf("mesh: {endpoints: %s}\nsources: [{connections: 700}]\n", form)
		if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--namespace", "fill-"+strings.ToLower(form), "--config", config)
		if err != nil {
			t.Fatal(err)
		}
		if err := daemon.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		w.isthmus = daemon
		t.Logf("first fill, %s, %.0f services with %.0f instances: ready after %.1f s, %d writes, %.0f MiB resident",
			form, w.metric(t, "isthmus_services"), w.metric(t, "isthmus_instances"), took.Seconds(), w.writes(t),
			w.metric(t, "process_resident_memory_bytes")/(1<<20))
		daemon.Stop()
	}
}

func measured(n, k, subnet int) instance {
	return instance{
		service: fmt.Sprintf("measured-%03d", n), id: fmt.Sprintf("measured-%03d-%d", n, k),
		address: fmt.Sprintf("10.2%d.%d.%d", k, subnet, n), port: 8080,
	}
}

// watchWorkloads notes when a WorkloadEntry with an address is first seen in the API server. The function it returns
// waits for one.
func (w *world) watchWorkloads(t *testing.T) func(address string) time.Time {
	t.Helper()
	list, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := w.istio.NetworkingV1().WorkloadEntries(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Stop)
	type sighting struct {
		address string
		at      time.Time
	}
	sightings := make(chan sighting, 1000)
	go func() {
		defer close(sightings)
		for event := range watch.ResultChan() {
			if workload, ok := event.Object.(*networkingv1.WorkloadEntry); ok {
				sightings <- sighting{workload.Spec.Address, time.Now()}
			}
		}
	}()
	return func(address string) time.Time {
		for s := range sightings {
			if s.address == address {
				return s.at
			}
		}
		t.Fatalf("the watch ended before %s came", address)
		return time.Time{}
	}
}

// untilEndpoint asks Envoy without a break until it has the instance.
func (w *world) untilEndpoint(t *testing.T, i instance) time.Time {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := fmt.Sprintf("%s:%d", i.address, i.port)
	for {
		endpoints, err := w.endpoints(deadline, i.cluster())
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(endpoints, want) {
			return time.Now()
		}
	}
}

func (w *world) metric(t *testing.T, name string) float64 {
	t.Helper()
	value, err := w.isthmus.Metric(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func percentile(durations []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)].Round(100 * time.Microsecond)
}
