package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestRivals verifies that of two Consuls with one domain the first one in the configuration gets a host that both
// would use, even if its service does not exist yet, and that the entries of neither are rewritten while those of the
// other come and go.
func TestRivals(t *testing.T) {
	w := newHarness(t)
	east := *w
	var err error
	if east.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{Name: "east", Datacenter: "dc2", HCL: manyConnections}); err != nil {
		t.Fatal(err)
	}
	here := instance{service: "web", id: "web", address: "10.0.1.1", port: 8080}
	there := instance{service: "web", id: "web", address: "10.0.2.1", port: 8080}
	mark := func(n int) instance {
		return instance{service: fmt.Sprint("mark-", n), id: "mark", address: "10.0.3.1", port: 8080}
	}
	east.register(t, there)
	daemon := w.startWith(t, fmt.Sprintf(`sources: [{name: west, address: %q}, {name: east, address: %q}]
`, w.consul.Address, east.consul.Address))
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := w.recordEntries(t)
	step := 0
	settle := func() { // both sources are read once their markers are present
		t.Helper()
		step++
		w.register(t, mark(step))
		east.register(t, mark(step))
		eventually(t, func(ctx context.Context) error {
			_, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, fmt.Sprintf("mark-%d.west", step), metav1.GetOptions{})
			if err == nil {
				_, err = w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, fmt.Sprintf("mark-%d.east", step), metav1.GetOptions{})
			}
			return err
		})
	}
	settle()
	w.awaitHosts(t, "web.east", "web.service.dc2.consul")
	for range 3 {
		w.register(t, here)
		settle()
		w.awaitHosts(t, "web.west", "web.service.consul", "web.service.dc1.consul")
		w.deregister(t, here)
		settle()
	}
	w.register(t, here)
	settle()
	for range 3 {
		east.deregister(t, there)
		settle()
		east.register(t, there)
		settle()
	}
	for name, want := range map[string][]string{
		"web.west": {"ADDED web.service.consul,web.service.dc1.consul"}, "web.east": {"ADDED web.service.dc2.consul"},
	} {
		if got := seen.of(name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", name, got, want)
		}
	}
}

// entryHistory records the events of ServiceEntries.
type entryHistory struct {
	mu     sync.Mutex
	events []string
}

func (w *harness) recordEntries(t *testing.T) *entryHistory {
	t.Helper()
	stream, err := w.istio.NetworkingV1().ServiceEntries(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h, done := &entryHistory{}, make(chan struct{})
	go func() {
		defer close(done)
		for event := range stream.ResultChan() {
			if entry, ok := event.Object.(*networkingv1.ServiceEntry); ok {
				h.mu.Lock()
				h.events = append(h.events, fmt.Sprintf("%s %s %s", entry.Name, event.Type, strings.Join(entry.Spec.Hosts, ",")))
				h.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		stream.Stop()
		<-done
	})
	return h
}

// of returns the events of an entry, and its hosts.
func (h *entryHistory) of(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var events []string
	for _, event := range h.events {
		if what, found := strings.CutPrefix(event, name+" "); found {
			events = append(events, what)
		}
	}
	return events
}
