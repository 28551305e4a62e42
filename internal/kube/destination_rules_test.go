package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestDestinationRules verifies that rules come and go with their service and with the configuration, that drift of
// them is corrected, and that foreign rules stay.
func TestDestinationRules(t *testing.T) {
	const ns = "rules"
	b, c := newFakeState(ns), newClient(t)
	originate := mesh.TLSOrigination{Services: []string{"*"}, Force: true, Protocol: mesh.HTTP}
	b.options.TLSOrigination = []mesh.TLSOrigination{originate}
	b.set("web", map[string]string{"1": "v1"})
	b.set("db", map[string]string{"1": "v1"})
	enabled := func(o *Options) { o.DestinationRules, o.Grace = true, 0 }
	r := start(t, b, enabled)
	r.waitReady(t)
	live := rules(t, c, ns)
	eventually(t, []string{"db.service.consul db.service.consul", "web.service.consul web.service.consul"}, live)

	theirs := &networkingv1.DestinationRule{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "theirs"}, Spec: networking.DestinationRule{Host: "theirs"}}
	if err := c.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	name := mesh.Name{Source: "consul", Label: "web"}.DestinationRule("web.service.consul")
	rule := &networkingv1.DestinationRule{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	if err := c.Patch(t.Context(), rule, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"host":"other"}}`))); err != nil {
		t.Fatal(err)
	}
	b.set("db", nil)
	eventually(t, []string{"theirs ", "web.service.consul web.service.consul"}, live)
	eventually(t, []string{"web.service.consul"}, hosts(t, c, ns)) // The entry stays, with no rule to remove.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	// A start without a change writes nothing. A start without rules in the configuration removes ours.
	again := start(t, b, enabled)
	again.waitReady(t)
	if writes := again.attempts(t); len(writes) != 0 {
		t.Errorf("a restart wrote %v", writes)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	b.options.TLSOrigination = nil
	b.set("web", map[string]string{"1": "v1"})
	start(t, b, nil).waitReady(t)
	eventually(t, []string{"theirs "}, live)
}

// TestPermissionForDestinationRules verifies that isthmus without the permission for DestinationRules fails if it has
// some to write, and does not need the permission otherwise.
func TestPermissionForDestinationRules(t *testing.T) {
	applyFile(t, "../../deploy/rbac.yaml")
	b := newFakeState("consul-services")
	output, err := New(Options{
		REST: daemonREST(t), Placement: b.options.Placement, DestinationRules: true, Holds: holdsOf(b),
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = output.Run(context.Background(), b)
	output.http.CloseIdleConnections()
	if err == nil || !strings.Contains(err.Error(), "for mesh.tlsOrigination, destinationrules") {
		t.Errorf("error %v", err)
	}
}

// rules returns the hosts and the server names of all DestinationRules.
func rules(t *testing.T, c client.Client, ns string) func() []string {
	return func() []string {
		var list networkingv1.DestinationRuleList
		if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
			return []string{err.Error()}
		}
		var all []string
		for _, rule := range list.Items {
			sni := ""
			for _, port := range rule.Spec.GetTrafficPolicy().GetPortLevelSettings() {
				sni = port.Tls.Sni
			}
			all = append(all, fmt.Sprint(rule.Spec.Host, " ", sni))
		}
		slices.Sort(all)
		return all
	}
}
