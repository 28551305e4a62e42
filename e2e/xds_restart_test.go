package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/testbed"
)

// TestXDSRestarts holds that the endpoints in Envoy stay the same whatever restarts, in whatever order, with Consul or
// without it, and that afterwards changes arrive again.
func TestXDSRestarts(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newWorld(t)
	var err error
	if w.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{Name: "lasting", Persistent: true, HCL: roomy}); err != nil {
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

// awaitIstiod waits until istiod is ready, and starts it again where it ended, as Kubernetes does: it ends where it
// finds nobody at the address of a config source.
func (w *world) awaitIstiod(t *testing.T) {
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

func (w *world) restartIsthmus(t *testing.T) {
	t.Helper()
	if err := w.isthmus.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// watchSteady looks all the while whether Envoy has these endpoints. The function that it returns says whether that was
// so until now.
func (w *world) watchSteady(t *testing.T, cluster string, want ...string) func(*testing.T) {
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
				return fmt.Errorf("nobody looked since %d looks", before)
			}
			return nil
		})
	}
}

// TestXDSReplicas holds that an istiod whose replica of isthmus stops goes on with another, and that this costs no push
// to any proxy.
func TestXDSReplicas(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newWorld(t)
	i := instance{service: "web", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, i)
	first := w.startXDS(t)
	leaving := w.isthmus
	second := w.startXDS(t)
	for _, replica := range []*testbed.Isthmus{leaving, w.isthmus} {
		if err := replica.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	balancer := newBalancer(t, first)
	w.startIstiodOn(t, balancer.listener.Addr().String())
	w.awaitEndpoints(t, i.cluster(), "10.1.0.1:8081")
	pushes := w.settledPushes(t)

	balancer.to.Store(&second)
	leaving.Stop()
	eventually(t, func(ctx context.Context) error {
		sent, err := w.isthmus.Metric(ctx, "isthmus_xds_pushes_total", "kind", "ServiceEntry")
		if err == nil && sent != 1 {
			err = fmt.Errorf("the other replica has sent %v responses", sent)
		}
		return err
	})
	if after := w.settledPushes(t); after != pushes {
		t.Errorf("it cost %v pushes", after-pushes)
	}
	i.address = "10.1.0.2"
	w.register(t, i)
	w.awaitEndpoints(t, i.cluster(), "10.1.0.2:8081")
}

// settledPushes returns how many responses istiod has sent to proxies, once it has stopped sending.
func (w *world) settledPushes(t *testing.T) float64 {
	t.Helper()
	pushes := -1.0
	since := time.Now()
	eventually(t, func(ctx context.Context) error {
		now, err := w.istiod.Metric(ctx, "pilot_xds_pushes")
		if err != nil {
			return err
		}
		if now != pushes {
			pushes, since = now, time.Now()
		}
		if still := time.Since(since); still < 3*time.Second { // well above istiod's debounce
			return fmt.Errorf("the last push was %s ago", still)
		}
		return nil
	})
	return pushes
}

// balancer passes connections on to one of several servers, as a Service of Kubernetes does.
type balancer struct {
	listener net.Listener
	to       atomic.Pointer[string]
}

func newBalancer(t *testing.T, to string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener}
	b.to.Store(&to)
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.pass(ctx, connection) })
		}
	})
	t.Cleanup(func() { listener.Close(); cancel(); all.Wait() })
	return b
}

func (b *balancer) pass(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", *b.to.Load())
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	go func() {
		defer to.Close()
		_, _ = io.Copy(to, from) // a connection that ends is no trouble
	}()
	_, _ = io.Copy(from, to)
}
