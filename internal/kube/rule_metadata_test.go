package kube

import (
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestRuleMetadata verifies that labels and annotations of rules are restored after drift and removed with the rule, and that
// those of other clients stay.
func TestRuleMetadata(t *testing.T) {
	t.Parallel()
	const ns, waypoint, spread = "rule-metadata", "istio.io/use-waypoint", "networking.istio.io/traffic-distribution"
	b, c := newFakeState(ns), newClient(t)
	rule := func(labels, annotations map[string]string) {
		b.options.Placement.Rules = []mesh.Rule{{Services: []string{"*"}, Labels: labels, Annotations: annotations}}
		b.set("web", map[string]string{"1": "v1"})
	}
	rule(map[string]string{waypoint: "shared"}, map[string]string{spread: "PreferClose"})
	start(t, b, nil).waitReady(t)
	read := func() map[string]string {
		var entry networkingv1.ServiceEntry
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "web.consul"}, &entry); err != nil {
			return map[string]string{"error": err.Error()}
		}
		found := map[string]string{}
		for _, all := range []map[string]string{entry.Labels, entry.Annotations} {
			for _, key := range []string{waypoint, spread, "team"} {
				if value, ok := all[key]; ok {
					found[key] = value
				}
			}
		}
		return found
	}
	eventually(t, map[string]string{waypoint: "shared", spread: "PreferClose"}, read)
	entry := &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web.consul"}}
	patch := `{"metadata":{"labels":{"team":"a","` + waypoint + `":"other"},"annotations":{"` + spread + `":null}}}`
	if err := c.Patch(t.Context(), entry, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
	eventually(t, map[string]string{waypoint: "shared", spread: "PreferClose", "team": "a"}, read)
	rule(map[string]string{waypoint: "shared"}, nil)
	eventually(t, map[string]string{waypoint: "shared", "team": "a"}, read)
	rule(nil, nil)
	eventually(t, map[string]string{"team": "a"}, read)
}
