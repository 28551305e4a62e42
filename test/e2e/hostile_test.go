package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	networking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestHostileRegistrations verifies that a hostile registration gets no address that reveals secrets, no identity, and
// no host of another service. The rest of its service is in the mesh, and each rejected part is reported with the
// setting that allows it.
func TestHostileRegistrations(t *testing.T) {
	w := sharedHarness(t)
	const service = "hostile"
	good := instance{
		service: service, id: "good", address: "10.8.0.1", port: 8080,
		tags: []string{"security.istio.io/tlsMode=istio", "service.istio.io/canonical-name=bank", "app=bank", "istio=ingressgateway", "version=v1"},
	}
	forbidden := []string{"169.254.169.254", "::ffff:169.254.169.254", "::1", "metadata.google.internal", "kubernetes.default.svc", "fe80::1", "64:ff9b::a9fe:a9fe"}
	w.register(t, good)
	for i, address := range forbidden {
		w.register(t, instance{service: service, id: fmt.Sprint("forbidden-", i), address: address, port: 80 + i})
	}
	w.register(t, instance{service: "hostile.service.consul", id: "host", address: "10.8.0.2", port: 8080})
	w.awaitEndpoints(t, good.cluster(), "10.8.0.1:8080")
	w.awaitEndpoints(t, "outbound|80||hostile-service-consul.service.consul", "10.8.0.2:8080")
	w.settle(t)
	w.awaitEndpoints(t, good.cluster(), "10.8.0.1:8080")
	entry, err := w.istio.NetworkingV1().WorkloadEntries(namespace).Get(t.Context(), good.workloadName(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labels := entry.Spec.Labels
	if labels["app"] != service || labels["service.istio.io/canonical-name"] != service || labels["version"] != "v1" ||
		labels["security.istio.io/tlsMode"] != "" || labels["istio"] != "" {
		t.Errorf("labels %q", labels)
	}
	log := w.isthmus.Log()
	// The log has examples: a few lines, however many instances a team registers.
	if lines := strings.Count(log, "service=consul/hostile reason=forbidden_address"); lines < 1 || lines > 3 {
		t.Errorf("%d lines in the log about forbidden addresses", lines)
	}
	if example := "object=dc1/vm-1/forbidden-0 "; strings.Count(log, example) != 1 {
		t.Errorf("not one line in the log has %s", example)
	}
	for _, setting := range []string{`mesh.addresses.allow: [\"169.254.169.254`, `mesh.labels.allow: [\"security.istio.io/tlsMode\"]`} {
		if !strings.Contains(log, setting) {
			t.Errorf("the log does not have the setting %s, which accepts the skipped part", setting)
		}
	}
}

// TestLargestObjects verifies that the API server accepts the largest service that isthmus makes from any registration.
// Its number of instances and the size of their labels are limited.
func TestLargestObjects(t *testing.T) {
	w := newHarness(t)
	w.registerMany(t, "many", 4200, nil)
	var tags []string
	for n := range 64 {
		tags = append(tags, fmt.Sprintf("%060d=%s", n, strings.Repeat("x", 63)))
	}
	w.registerMany(t, "wide", 300, tags)
	daemon := w.startWith(t, fmt.Sprintf("sources: [{address: '%s'}]\nmesh: {endpoints: inline}\n", w.consul.Address))
	w.isthmus = daemon
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, service := range []string{"many", "wide"} {
		eventually(t, func(ctx context.Context) error {
			entry, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, service+".consul", metav1.GetOptions{})
			if err == nil {
				counts[service] = len(entry.Spec.Endpoints)
				if !slices.IsSortedFunc(entry.Spec.Endpoints, func(a, b *networking.WorkloadEntry) int { return strings.Compare(a.Address, b.Address) }) {
					t.Error("they are not the first ones")
				}
			}
			return err
		})
	}
	t.Logf("%v of 4,200 and 300 instances fit", counts)
	if counts["many"] != 4096 || counts["wide"] < 100 || counts["wide"] == 300 {
		t.Errorf("%v endpoints", counts)
	}
	services, err := daemon.Metric(t.Context(), "isthmus_findings", "reason", "too_many_instances")
	if err != nil || services != 2 {
		t.Errorf("%v services have skipped instances: %v", services, err)
	}
	for service, skipped := range map[string]int{"many": 4200 - counts["many"], "wide": 300 - counts["wide"]} {
		awaitText(t, daemon.Log, fmt.Sprintf("service=consul/%s reason=too_many_instances count=%d ", service, skipped))
	}
}

// registerMany registers many instances of a service, in the order of their addresses.
func (w *harness) registerMany(t *testing.T, service string, count int, tags []string) {
	t.Helper()
	const most = 32 // operations of a transaction, each with the tags
	ids := make([]int, count)
	for i := range ids {
		ids[i] = i
	}
	for chunk := range slices.Chunk(ids, most) {
		ops := api.TxnOps{{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: "vm-1", Address: "10.0.0.1"}}}}
		for _, i := range chunk {
			ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: "vm-1", Service: api.AgentService{
				ID: fmt.Sprintf("%s-%05d", service, i), Service: service, Address: fmt.Sprintf("10.100.%d.%d", 100+i/100, 100+i%100), Port: 8080, Tags: tags,
			}}})
		}
		if ok, response, _, err := w.consul.Client().Txn().Txn(ops, nil); err != nil || !ok {
			t.Fatal(err, response)
		}
	}
}
