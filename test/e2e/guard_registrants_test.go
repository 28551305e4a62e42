package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// team returns services of one instance each.
func team(name string, number, services int) (all []instance) {
	for n := range services {
		id := fmt.Sprintf("%s-%03d", name, n)
		all = append(all, instance{service: id, id: id, address: fmt.Sprintf("10.%d.%d.%d", number, n/250, n%250+1), port: 8080})
	}
	return all
}

// TestRegistrantsAndHolds verifies that a team can neither end, prevent nor extend the hold of others: by registrations after
// a mass removal, by registrations before it, and by services that leave and return all the time.
func TestRegistrantsAndHolds(t *testing.T) {
	w := newHarness(t)
	honest, bogus := team("honest", 20, 40), team("bogus", 21, 200)
	w.register(t, honest...)
	start := func() *testbed.Isthmus { return w.startReplicaWith(t, "guard: {window: 2s}\n") }
	daemon := start()
	w.awaitWorkloads(t, 40)

	w.deregister(t, honest[:12]...)
	awaitMetric(t, daemon, "isthmus_held_services", 12)
	w.register(t, bogus...)
	w.awaitWorkloads(t, 240)
	// The hold of some new services ends by itself after a window. The first hold doesn't end with it.
	w.deregister(t, bogus[:50]...)
	awaitMetric(t, daemon, "isthmus_holds", 2)
	w.register(t, bogus[1:50]...)
	awaitMetric(t, daemon, "isthmus_holds", 1)
	awaitMetric(t, daemon, "isthmus_held_services", 12)
	w.awaitWorkloads(t, 239)

	stop := w.flap(t, bogus[100:130])
	w.deregister(t, honest[20])
	w.awaitNoWorkload(t, honest[20])
	stop()
	awaitMetric(t, daemon, "isthmus_held_services", 12)

	w.deregister(t, honest[12:]...)
	awaitMetric(t, daemon, "isthmus_held_services", 39)
	w.awaitHold(t, `"services": 39`)
	daemon.Kill()
	daemon = start()
	awaitMetric(t, daemon, "isthmus_held_services", 39)
	w.deregister(t, bogus[199])
	w.awaitNoWorkload(t, bogus[199])
	awaitMetric(t, daemon, "isthmus_held_services", 39)
	w.awaitWorkloads(t, 237)
}

// flap removes and registers instances until the returned function is called.
func (w *harness) flap(t *testing.T, instances []instance) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			w.deregister(t, instances...)
			w.register(t, instances...)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// awaitNoWorkload waits until the mesh doesn't have an instance.
func (w *harness) awaitNoWorkload(t *testing.T, gone instance) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		list, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, found := range list.Items {
			if found.Name == gone.workloadName() {
				return errors.New(gone.id + " is in the mesh")
			}
		}
		return nil
	})
}
