package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TestHostOfSomebodyElse holds that callers go on reaching who had a host first, by what isthmus writes and by what istiod
// makes of it: somebody else's ServiceEntry in another namespace until it goes, and then the service of Consul, whoever
// comes later.
func TestHostOfSomebodyElse(t *testing.T) {
	w := sharedWorld(t)
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
	if !strings.Contains(w.isthmus.Log(), `host=disputed.service.consul of="ServiceEntry others/disputed"`) {
		t.Error("the log doesn't say whose the host is")
	}
	if err := client.Delete(t.Context(), "disputed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	reaches("ours")
	eventually(t, func(ctx context.Context) error { // the API server counts seconds
		entry, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, i.entryName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		probe, err := w.istio.NetworkingV1().ServiceEntries("others").Create(ctx, foreignEntry("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && !probe.CreationTimestamp.After(entry.CreationTimestamp.Time) {
			err = errors.New("it is still the same second")
		}
		return err
	})
	create()
	w.settle(t)
	w.settledPushes(t) // istiod has told all that it knows
	reaches("ours")
}

func (w *world) makeNamespace(t *testing.T, name string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
