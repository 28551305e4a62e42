package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestServiceDefaults verifies that the protocol of Consul's service-defaults reaches the ServiceEntry, that a change of the
// entry writes the one service that it names, and that a restart writes nothing.
func TestServiceDefaults(t *testing.T) {
	w := newHarness(t)
	greeter := instance{service: "greeter", id: "greeter", address: "10.9.0.1", port: 8080}
	other := instance{service: "other", id: "other", address: "10.9.0.2", port: 8080}
	w.register(t, greeter, other)
	w.setDefaults(t, "Greeter", "grpc")
	w.startNames(t, "sources: [{serviceDefaults: true}]", "--namespace", namespace)
	w.awaitProtocol(t, greeter, "GRPC")
	w.awaitProtocol(t, other, "HTTP") // by its check

	before := w.settledWrites(t)
	w.setDefaults(t, "greeter", "tcp")
	w.awaitProtocol(t, greeter, "TCP")
	w.register(t, instance{service: "marker", id: "marker", address: "10.9.9.8", port: 9999}) // two objects
	w.awaitWrites(t, before+3)
	w.isthmus.Stop()
	if err := w.isthmus.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := w.writes(t); after != 0 {
		t.Errorf("%d writes after a restart", after)
	}
	if _, err := w.consul.Client().ConfigEntries().Delete(api.ServiceDefaults, "greeter", nil); err != nil {
		t.Fatal(err)
	}
	w.awaitProtocol(t, greeter, "HTTP")
}

// settledWrites waits until all services of Consul are written and the writes have ended, and returns their number.
func (w *harness) settledWrites(t *testing.T) (writes int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		services, _, err := w.consul.Client().Catalog().Services((&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		delete(services, "consul")
		for service := range services {
			if _, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, instance{service: service}.entryName(), metav1.GetOptions{}); err != nil {
				return err
			}
		}
		before := writes
		if writes = w.writes(t); writes != before {
			return errors.New("there are still writes")
		}
		return nil
	})
	return writes
}

// awaitWrites waits until isthmus has written a number of objects, and verifies that it has not written more.
func (w *harness) awaitWrites(t *testing.T, want int) {
	t.Helper()
	eventually(t, func(context.Context) error {
		if got := w.writes(t); got < want {
			return fmt.Errorf("%d writes, want %d", got, want)
		}
		return nil
	})
	if got := w.settledWrites(t); got != want {
		t.Errorf("%d writes, want %d", got, want)
	}
}

// setDefaults writes the service-defaults of a service.
func (w *harness) setDefaults(t *testing.T, service, protocol string) {
	t.Helper()
	entry := &api.ServiceConfigEntry{Kind: api.ServiceDefaults, Name: service, Protocol: protocol}
	if _, _, err := w.consul.Client().ConfigEntries().Set(entry, nil); err != nil {
		t.Fatal(err)
	}
}

// awaitProtocol waits until the default port of a service has a protocol.
func (w *harness) awaitProtocol(t *testing.T, i instance, protocol string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		entry, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, i.entryName(), metav1.GetOptions{})
		if err == nil && entry.Spec.Ports[0].Protocol != protocol {
			err = fmt.Errorf("the ports of %s are %v", i.service, entry.Spec.Ports)
		}
		return err
	})
}
