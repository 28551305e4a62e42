package e2e

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestServiceHasItsCompleteHost verifies that istiod prefers a Service to an older ServiceEntry with the complete host of
// the Service, and that isthmus, which can have such a host only with a wrong mesh.clusterDomain, leaves it to the Service.
func TestServiceHasItsCompleteHost(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	const host, cluster = "twin.default.svc.cluster.local", "outbound|80||twin.default.svc.cluster.local"
	i := instance{service: "twin", id: "twin", address: "203.0.113.9", port: 8081}
	w.register(t, i)
	if err := w.startMesh(t.Context(), "mesh: {clusterDomain: wrong.example, hosts: ['{{ .Name }}.default.svc.cluster.local']}"); err != nil {
		t.Fatal(err)
	}
	w.awaitEndpoints(t, cluster, "203.0.113.9:8081")

	// Another client keeps the host in a ServiceEntry, so that istiod decides.
	squatter := foreignEntry("squatter")
	squatter.Spec = networking.ServiceEntry{
		Hosts: []string{"squatter.default.svc.cluster.local"}, Resolution: networking.ServiceEntry_STATIC,
		Ports:     []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
		Endpoints: []*networking.WorkloadEntry{{Address: "203.0.113.10"}},
	}
	w.makeNamespace(t, "others")
	if _, err := w.istio.NetworkingV1().ServiceEntries("others").Create(t.Context(), squatter, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitEndpoints(t, "outbound|80||squatter.default.svc.cluster.local", "203.0.113.10:80")
	w.newerThan(t, "others", "squatter")
	w.newerThan(t, namespace, i.entryName())
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"twin", "squatter"} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		}}
		if _, err := client.CoreV1().Services("default").Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// The Services have no endpoints, so istiod has chosen them if their clusters are empty.
	w.awaitEndpoints(t, cluster)
	w.awaitEndpoints(t, "outbound|80||squatter.default.svc.cluster.local")
	w.awaitHosts(t, i.entryName(), i.host())
	awaitMetric(t, w.isthmus, "isthmus_kubernetes_host_conflicts", 1)
}
