package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// newXDSHarness returns Consul, isthmus with the xds output, an istiod that reads it, and an Envoy. More arguments may
// follow those of "isthmus run".
func newXDSHarness(t *testing.T, args ...string) *harness {
	t.Helper()
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	address := w.startXDS(t, args...)
	w.startIstiodOn(t, address)
	return w
}

// startXDS starts an isthmus with the xds output in plain text, and returns its address.
func (w *harness) startXDS(t *testing.T, args ...string) (address string) {
	t.Helper()
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address = "127.0.0.1:" + strconv.Itoa(port)
	args = append([]string{"--output", "xds=" + address, "--xds-plaintext"}, args...)
	if w.isthmus, err = w.run.StartIsthmus(w.consul, nil, args...); err != nil {
		t.Fatal(err)
	}
	return address
}

// startIstiodOn starts an istiod that reads an xDS server, and an Envoy that it configures.
func (w *harness) startIstiodOn(t *testing.T, address string) {
	t.Helper()
	w.startIstiodFrom(t, fmt.Sprintf("{address: \"xds://%s\"}", address))
}

// startIstiodFrom starts an istiod with a config source, and an Envoy that it configures.
func (w *harness) startIstiodFrom(t *testing.T, source string) {
	t.Helper()
	w.startIstiodWith(t, testbed.IstiodOptions{ConfigSources: []string{source}})
}

// startIstiodWith starts an istiod with options, and an Envoy that it configures.
func (w *harness) startIstiodWith(t *testing.T, options testbed.IstiodOptions) {
	t.Helper()
	var err error
	if w.istiod, err = w.run.StartIstiodWith(t.Context(), w.kube, options); err != nil {
		t.Fatal(err)
	}
	if w.envoy, err = w.run.StartEnvoy(t.Context(), w.istiod); err != nil {
		t.Fatal(err)
	}
}

// testServiceChanges verifies that a service arrives at Envoy with its subsets, weights and localities, and that every change
// of its instances arrives.
func (w *harness) testServiceChanges(t *testing.T) {
	t.Helper()
	a := instance{
		service: "web", id: "a", address: "10.1.0.1", port: 8081, weight: 3,
		meta: map[string]string{"version": "v1", "zone": "z1"},
	}
	b := instance{service: "web", id: "b", address: "10.1.0.2", port: 8082, meta: map[string]string{"version": "v2"}}
	w.register(t, a, b)
	w.awaitEndpoints(t, a.cluster(), "10.1.0.1:8081 3", "10.1.0.2:8082")
	w.applySubsets(t, a)
	w.awaitEndpoints(t, strings.Replace(a.cluster(), "||", "|v1|", 1), "10.1.0.1:8081 3")
	w.awaitEndpoints(t, strings.Replace(a.cluster(), "||", "|v2|", 1), "10.1.0.2:8082")
	w.awaitZones(t, a.cluster(), "dc1/z1", "dc1/")

	a.address, b.health = "10.1.0.9", "critical"
	w.register(t, a, b)
	w.awaitEndpoints(t, a.cluster(), "10.1.0.9:8081 3")
	w.deregister(t, a)
	w.awaitEndpoints(t, a.cluster())
	b.health = "passing"
	w.register(t, b)
	w.awaitEndpoints(t, a.cluster(), "10.1.0.2:8082")
}

// TestXDS verifies that services arrive by xDS with their subsets, weights and localities, in both forms, that every
// change arrives, and that rules of the Kubernetes API apply to them.
func TestXDS(t *testing.T) {
	for _, form := range []string{"inline", "workloadEntry"} {
		t.Run(form, func(t *testing.T) {
			w := newXDSHarness(t, "--config", configFile(t, "mesh: {endpoints: "+form+"}"))
			w.testServiceChanges(t)
			if rejections, err := w.isthmus.Metric(t.Context(), "isthmus_xds_rejections_total"); err != nil || rejections != 0 {
				t.Errorf("istiod rejected %v responses (%v):\n%s", rejections, err, w.isthmus.Log())
			}
		})
	}
}

// TestXDSForeignHost verifies that an older foreign ServiceEntry keeps its host, as with the kube output.
func TestXDSForeignHost(t *testing.T) {
	w := newXDSHarness(t)
	taken := instance{service: "taken", id: "taken", address: "10.1.0.1", port: 8081}
	entry := foreignEntry("taken")
	entry.Spec = networking.ServiceEntry{
		Hosts: []string{taken.host()}, Resolution: networking.ServiceEntry_STATIC, Location: networking.ServiceEntry_MESH_INTERNAL,
		Ports:     []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
		Endpoints: []*networking.WorkloadEntry{{Address: "10.9.9.9", Ports: map[string]uint32{"http": 80}}},
	}
	if _, err := w.istio.NetworkingV1().ServiceEntries("istio-system").Create(t.Context(), entry, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitEndpoints(t, taken.cluster(), "10.9.9.9:80")
	free := instance{service: "free", id: "free", address: "10.1.0.2", port: 8081}
	w.register(t, taken, free)
	w.awaitEndpoints(t, free.cluster(), "10.1.0.2:8081")
	if got, err := w.endpoints(t.Context(), taken.cluster()); err != nil || len(got) != 1 || got[0] != "10.9.9.9:80" {
		t.Errorf("the endpoints are %v, %v", got, err)
	}
}

// TestXDSTCPByAddress verifies that TCP services are distinguished by their addresses also with the xds output, where
// istiod assigns none.
func TestXDSTCPByAddress(t *testing.T) {
	w := newXDSHarness(t, "--config", configFile(t, testbed.OnLoopback))
	w.testTCPByAddress(t, func(t *testing.T, i instance) (address string) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			spec, err := w.istiod.Spec(ctx, "ServiceEntry", i.entryName())
			if err != nil {
				return err
			}
			addresses, _ := spec["addresses"].([]any)
			if len(addresses) != 1 {
				return fmt.Errorf("its addresses are %v", addresses)
			}
			address = fmt.Sprint(addresses[0])
			return nil
		})
		return address
	})
}

// applySubsets makes a subset of each version, in the caller's namespace, because that of the service need not exist.
func (w *harness) applySubsets(t *testing.T, i instance) {
	t.Helper()
	rule := &networkingv1.DestinationRule{
		ObjectMeta: metav1.ObjectMeta{Name: i.service},
		Spec: networking.DestinationRule{Host: i.host(), Subsets: []*networking.Subset{
			{Name: "v1", Labels: map[string]string{"version": "v1"}},
			{Name: "v2", Labels: map[string]string{"version": "v2"}},
		}},
	}
	if _, err := w.istio.NetworkingV1().DestinationRules("default").Create(t.Context(), rule, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitZones waits until the endpoints of a cluster have these localities, "region/zone", in the order of their
// addresses.
func (w *harness) awaitZones(t *testing.T, cluster string, want ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		endpoints, err := w.envoy.Endpoints(ctx, cluster)
		if err != nil {
			return err
		}
		var got []string
		for _, e := range endpoints {
			got = append(got, e.Region+"/"+e.Zone)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("the localities are %v, not %v", got, want)
		}
		return nil
	})
}
