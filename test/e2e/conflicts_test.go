package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TestForeignHost verifies that callers keep reaching the first owner of a host, by the objects of isthmus and by
// istiod's view of them: a foreign ServiceEntry in another namespace until it is deleted, and then the service of
// Consul, even if a foreign one is created later. DNS by isthmus returns the service's address only then, because no
// listener has it before.
func TestForeignHost(t *testing.T) {
	w := sharedHarness(t)
	w.makeNamespace(t, "others")
	theirs, ours := newServer(t, "theirs"), newServer(t, "ours")
	i := instance{service: "disputed", id: "disputed", address: ours.address, port: ours.port}
	client := w.istio.NetworkingV1().ServiceEntries("others")
	create := func() {
		t.Helper()
		entry := &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Name: "disputed"}, Spec: networking.ServiceEntry{
			Hosts: []string{i.host()}, Resolution: networking.ServiceEntry_STATIC, Location: networking.ServiceEntry_MESH_INTERNAL,
			Ports:     []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
			Endpoints: []*networking.WorkloadEntry{{Address: theirs.address, Ports: map[string]uint32{"http": uint32(theirs.port)}}},
		}}
		if _, err := client.Create(t.Context(), entry, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	reaches := func(who string) {
		t.Helper()
		eventually(t, func(ctx context.Context) error { return w.get(ctx, "http://"+i.host()+"/", who) })
	}
	create()
	reaches("theirs")
	w.register(t, i)
	w.settle(t)
	reaches("theirs")
	awaitAnswer(t, w.dns, i.host()+".", dns.TypeA, "NXDOMAIN")
	if !strings.Contains(w.isthmus.Log(), `host=disputed.service.consul object="ServiceEntry others/disputed"`) {
		t.Error("the log does not name the owner of the host")
	}
	if status, err := w.isthmus.Status(t.Context()); err != nil || !strings.Contains(status, `"object": "ServiceEntry others/disputed"`) {
		t.Errorf("the status does not name the owner of the host: %v\n%s", err, status)
	}
	if err := client.Delete(t.Context(), "disputed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	reaches("ours")
	answer := []string{"NOERROR", i.host() + ". A " + w.address(t, i)}
	awaitAnswer(t, w.dns, i.host()+".", dns.TypeA, answer...)
	w.newerThan(t, namespace, i.entryName())
	create()
	w.settle(t)
	w.settledPushes(t) // istiod has sent all of its configuration
	reaches("ours")
	awaitAnswer(t, w.dns, i.host()+".", dns.TypeA, answer...)
}

func (w *harness) makeNamespace(t *testing.T, name string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestForeignAddress verifies that callers reach a service by its virtual address even if a foreign object has the same
// address. The service gets another address if istiod prefers the foreign object, and keeps its address and its
// connections if istiod prefers the service.
func TestForeignAddress(t *testing.T) {
	w := sharedHarness(t)
	w.makeNamespace(t, "tenants")
	theirs, ours := newServer(t, "theirs"), newServer(t, "ours")
	client := w.istio.NetworkingV1().ServiceEntries("tenants")
	apply := func(name string, addresses ...string) {
		t.Helper()
		entry := &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networking.ServiceEntry{
			Hosts: []string{name + ".example.com"}, Addresses: addresses, Resolution: networking.ServiceEntry_STATIC,
			Ports:     []*networking.ServicePort{{Number: 80, Name: "tcp", Protocol: "TCP"}},
			Endpoints: []*networking.WorkloadEntry{{Address: theirs.address, Ports: map[string]uint32{"tcp": uint32(theirs.port)}}},
		}}
		known, err := client.Get(t.Context(), name, metav1.GetOptions{})
		if err == nil {
			entry.ResourceVersion = known.ResourceVersion
			_, err = client.Update(t.Context(), entry, metav1.UpdateOptions{})
		} else {
			_, err = client.Create(t.Context(), entry, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, name := range []string{"older", "newer", "wide"} {
			_ = client.Delete(context.Background(), name, metav1.DeleteOptions{}) // a test that failed early has fewer
		}
	})
	reaches := func(address, who string) {
		t.Helper()
		eventually(t, func(ctx context.Context) error { return w.get(ctx, "http://"+address+"/", who) })
	}
	apply("older", "198.51.100.1")
	w.newerThan(t, "tenants", "older")
	i := instance{service: "tenant", id: "tenant", address: ours.address, port: ours.port, meta: map[string]string{"protocol": "tcp"}}
	w.register(t, i)
	address := w.address(t, i)
	reaches(address, "ours")

	// A newer object and a range of an older object have no effect.
	w.newerThan(t, namespace, i.entryName())
	apply("newer", address)
	apply("wide", netip.PrefixFrom(netip.MustParseAddr(address), 24).Masked().String())
	awaitMetric(t, w.isthmus, "isthmus_kubernetes_address_conflicts", 2)
	w.settle(t)
	w.settledPushes(t)
	reaches(address, "ours")

	// An older object takes the address.
	apply("older", address)
	eventually(t, func(ctx context.Context) error {
		if now := w.address(t, i); now == address {
			return fmt.Errorf("it still has %s", now)
		}
		return nil
	})
	reaches(address, "theirs")
	reaches(w.address(t, i), "ours")
}

// newerThan waits until new objects are younger than an object, because the API server counts in seconds.
func (w *harness) newerThan(t *testing.T, ns, name string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		entry, err := w.istio.NetworkingV1().ServiceEntries(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		probe, err := w.istio.NetworkingV1().ServiceEntries(ns).Create(ctx, foreignEntry("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && !probe.CreationTimestamp.After(entry.CreationTimestamp.Time) {
			err = errors.New("it is still the same second")
		}
		return err
	})
}
