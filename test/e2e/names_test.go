package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestWildNames verifies that a service with any name comes into the mesh, under a unique name. The first service with a
// name keeps it.
func TestWildNames(t *testing.T) {
	w := sharedHarness(t)
	names := []string{
		"Foo_Bar", "foo-bar", "FOO.bar", "a.b", "中文", "x/y", "with space", "per%cent", "-dashes-", "web--0123456789abcdef0123",
		strings.Repeat("long", 75),
	}
	var assigned mesh.Names
	assigned.Freeze("consul")
	for i, name := range names {
		w.register(t, instance{service: name, id: fmt.Sprint("wild-", i), address: fmt.Sprint("10.4.0.", i+1), port: 8080})
		key := catalog.Key{Source: "consul", Name: name}
		assigned.Add(key)
		w.awaitEndpoints(t, "outbound|80||"+assigned.Of(key).Label+".service.consul", fmt.Sprintf("10.4.0.%d:8080", i+1))
	}
	// A name that Consul's HTTP API does not accept delays no other service.
	w.register(t, instance{service: "../up", id: "invalid-name", address: "10.4.1.1", port: 8080})
	w.settle(t)
}

// TestWildInstances verifies that instances that cannot be endpoints are skipped, counted and logged, and that the
// other instances of the same service are in the mesh.
func TestWildInstances(t *testing.T) {
	w := sharedHarness(t)
	const service = "wild-instances"
	good := instance{service: service, id: "good", address: "10.5.0.1", port: 8080}
	w.register(
		t, good,
		instance{service: service, id: "ipv6", address: "fd00::5", port: 8080},
		instance{service: service, id: "port-0", address: "10.5.0.2", port: 0},
		instance{service: service, id: "port-70000", address: "10.5.0.3", port: 70000},
		instance{service: service, id: "broken", address: "not an address", port: 8080},
		instance{service: service, id: "no-address", address: "", port: 8080, node: "vm-7"},
	)
	// An instance without an address has the address of its node.
	w.awaitEndpoints(t, good.cluster(), "10.5.0.1:8080", "fd00::5:8080", "10.0.0.1:8080")
	for _, reason := range []string{"bad_port", "bad_address"} {
		count, err := w.isthmus.Metric(t.Context(), "isthmus_findings", "reason", reason)
		if err != nil || count == 0 {
			t.Errorf("skipped for %s: %v, %v", reason, count, err)
		}
	}
	w.settle(t)
	for _, id := range []string{"port-0", "port-70000", "broken"} {
		if lines := strings.Count(w.isthmus.Log(), "dc1/vm-1/"+id); lines != 1 {
			t.Errorf("%d lines in the log about %s", lines, id)
		}
	}
}

// TestHostName verifies that Envoy resolves the address of an instance that is registered with a host name.
func TestHostName(t *testing.T) {
	w := sharedHarness(t)
	i := instance{service: "by-name", id: "by-name", address: "localhost.localdomain", port: 8080}
	w.register(t, i)
	eventually(t, func(ctx context.Context) error {
		entry, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, i.entryName(), metav1.GetOptions{})
		if err == nil && entry.Spec.Resolution.String() != "DNS" {
			err = fmt.Errorf("its resolution is %s", entry.Spec.Resolution)
		}
		return err
	})
}

// TestForeignObject verifies that a foreign object with the name of an object of isthmus stays unchanged and is
// reported, and that the object of isthmus is created when the foreign one is deleted.
func TestForeignObject(t *testing.T) {
	w := sharedHarness(t)
	i := instance{service: "foreign", id: "foreign", address: "10.6.0.1", port: 8080}
	client := w.istio.NetworkingV1().ServiceEntries(namespace)
	theirs := foreignEntry(i.entryName())
	theirs, err := client.Create(t.Context(), theirs, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.register(t, i)
	w.settle(t)
	if got := w.isthmus.Log(); !strings.Contains(got, kube.MessageWriteFailed) || !strings.Contains(got, "ServiceEntry consul-services/foreign.consul") {
		t.Error("the log does not report the foreign object")
	}
	found, err := client.Get(t.Context(), theirs.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs.Spec.Hosts, found.Spec.Hosts); diff != "" || found.Generation != theirs.Generation {
		t.Errorf("their object was changed (-before +after):\n%s", diff)
	}
	if err := client.Delete(t.Context(), theirs.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitEndpoints(t, i.cluster(), "10.6.0.1:8080")
}

// TestCallsByTwoProtocols verifies that HTTP services are reachable beside a service without HTTP, although both have
// port 80 in the mesh.
func TestCallsByTwoProtocols(t *testing.T) {
	w := sharedHarness(t)
	server := newServer(t, "hello")
	plain := instance{service: "two-protocols-tcp", id: "two-protocols-tcp", address: "10.7.0.1", port: 3306, meta: map[string]string{"protocol": "mysql"}}
	web := instance{service: "two-protocols-web", id: "two-protocols-web", address: server.address, port: server.port}
	w.register(t, plain)
	w.awaitEndpoints(t, plain.cluster(), "10.7.0.1:3306")
	w.register(t, web)
	w.awaitEndpoints(t, web.cluster(), fmt.Sprintf("%s:%d", server.address, server.port))
	eventually(t, func(ctx context.Context) error { return w.get(ctx, "http://"+web.host()+"/", "hello") })
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, fmt.Sprintf("http://%s:%d/", web.host(), web.port), "hello")
	})
}

// get requests a page through the mesh and checks its content.
func (w *harness) get(ctx context.Context, url, want string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := w.envoy.Client().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var body strings.Builder
	if err := response.Write(&body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !strings.HasSuffix(body.String(), want) {
		return fmt.Errorf("%s: %s", url, body.String())
	}
	return nil
}
