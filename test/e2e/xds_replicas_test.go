package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestXDSReplicas verifies that istiod switches to another replica of isthmus when its replica stops, and that this
// causes no push to any proxy.
func TestXDSReplicas(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
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

// balancer forwards connections to one of several servers, like a Kubernetes Service.
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
		_, _ = io.Copy(to, from) // a closed connection is no error
	}()
	_, _ = io.Copy(from, to)
}
