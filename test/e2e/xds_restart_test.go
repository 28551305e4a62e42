package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestXDSRestarts verifies that the endpoints in Envoy stay the same for any order of restarts, with and without
// Consul, and that changes arrive again afterwards.
func TestXDSRestarts(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	var err error
	if w.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{Name: "lasting", Persistent: true, HCL: manyConnections}); err != nil {
		t.Fatal(err)
	}
	stateFile := filepath.Join(t.TempDir(), "state")
	i := instance{service: "web", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, i, instance{service: "web", id: "b", address: "10.1.0.2", port: 8082})
	w.startIstiodOn(t, w.startXDS(t, "--state-file", stateFile))
	w.awaitEndpoints(t, i.cluster(), "10.1.0.1:8081", "10.1.0.2:8082")
	steady := w.watchSteady(t, i.cluster(), "10.1.0.1:8081", "10.1.0.2:8082")

	for n, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"istiod", func(t *testing.T) {
			w.istiod.Kill()
			w.awaitIstiod(t)
		}},
		{"isthmus", func(t *testing.T) {
			w.isthmus.Kill()
			w.restartIsthmus(t)
		}},
		{"istiod starts before isthmus", func(t *testing.T) {
			w.isthmus.Stop()
			w.istiod.Kill()
			if err := w.istiod.Restart(); err != nil {
				t.Fatal(err)
			}
			w.restartIsthmus(t)
			w.awaitIstiod(t)
		}},
		{"isthmus starts before istiod", func(t *testing.T) {
			w.istiod.Kill()
			w.isthmus.Kill()
			w.restartIsthmus(t)
			w.awaitIstiod(t)
		}},
		{"istiod, without Consul", func(t *testing.T) {
			w.consul.Stop()
			w.istiod.Kill()
			w.awaitIstiod(t)
			if err := w.consul.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"both, without Consul", func(t *testing.T) {
			w.consul.Stop()
			w.isthmus.Kill()
			w.istiod.Kill()
			w.restartIsthmus(t)
			w.awaitIstiod(t) // by the last known good
			steady(t)
			if err := w.consul.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"both, without Consul and a last known good", func(t *testing.T) {
			w.consul.Stop()
			w.isthmus.Kill()
			if err := os.Remove(stateFile); err != nil {
				t.Fatal(err)
			}
			if err := w.isthmus.Restart(); err != nil {
				t.Fatal(err)
			}
			w.istiod.Kill()
			if err := w.istiod.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := w.consul.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.awaitIstiod(t)
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.do(t)
			probe := instance{service: fmt.Sprint("probe-", n), id: fmt.Sprint("probe-", n), address: "10.2.0.1", port: 80}
			w.register(t, probe)
			w.awaitEndpoints(t, probe.cluster(), "10.2.0.1:80")
			steady(t)
		})
	}
}

// awaitIstiod waits until istiod is ready, and restarts it when it exits, as Kubernetes does. Istiod exits if a config
// source does not respond.
func (w *harness) awaitIstiod(t *testing.T) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		select {
		case <-w.istiod.Done():
			if err := w.istiod.Restart(); err != nil {
				return err
			}
		default:
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return w.istiod.Wait(ctx)
	})
}

func (w *harness) restartIsthmus(t *testing.T) {
	t.Helper()
	if err := w.isthmus.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// watchSteady checks continuously that Envoy has these endpoints. The returned function reports whether that was always
// true.
func (w *harness) watchSteady(t *testing.T, cluster string, want ...string) func(*testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var (
		looks   atomic.Int64
		changed = make(chan []string, 1)
		done    sync.WaitGroup
	)
	done.Go(func() {
		for ctx.Err() == nil {
			got, err := w.endpoints(ctx, cluster)
			if err == nil && !slices.Equal(got, want) {
				changed <- got
				return
			}
			looks.Add(1)
			time.Sleep(5 * time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return func(t *testing.T) {
		t.Helper()
		before := looks.Load()
		eventually(t, func(context.Context) error {
			select {
			case got := <-changed:
				t.Fatalf("the endpoints were %v for a while, not %v", got, want)
			default:
			}
			if looks.Load() == before {
				return fmt.Errorf("no check since check %d", before)
			}
			return nil
		})
	}
}
