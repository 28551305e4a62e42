package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// TestChecksFailTogether verifies that when many checks turn critical at once, because their common dependency fails,
// the mesh loses no more services than the guard allows.
func TestChecksFailTogether(t *testing.T) {
	w := newHarness(t)
	var ill atomic.Bool
	checked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			http.Error(w, "the database is away", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(checked.Close)
	for n := range fleetSize {
		registration := &api.AgentServiceRegistration{
			Name: fmt.Sprintf("agent-%02d", n), Address: fmt.Sprint("10.9.2.", n+1), Port: 8080,
			Check: &api.AgentServiceCheck{HTTP: checked.URL, Interval: "1s", Timeout: "1s"},
		}
		if err := w.consul.Client().Agent().ServiceRegister(registration); err != nil {
			t.Fatal(err)
		}
	}
	daemon := w.startReplica(t)
	w.awaitWorkloads(t, fleetSize)
	list, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	events, err := w.istio.NetworkingV1().WorkloadEntries(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	ill.Store(true)
	awaitMetric(t, daemon, "isthmus_held_instances", fleetSize)
	ill.Store(false)
	awaitMetric(t, daemon, "isthmus_held_instances", 0)
	w.awaitWorkloads(t, fleetSize)
	events.Stop()
	gone := 0
	for event := range events.ResultChan() {
		if event.Type == watch.Deleted {
			gone++
		}
	}
	if gone > 2 {
		t.Errorf("%d endpoints left meanwhile", gone)
	}
}
