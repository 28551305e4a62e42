package kube

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"
)

// TestConcerns holds which claims on a host are of concern to a ServiceEntry of ours in the namespace "ours".
func TestConcerns(t *testing.T) {
	entry, service := "ServiceEntry", "Service"
	for _, c := range []struct {
		name      string
		kind      string
		namespace string
		theirs    []string
		host      string
		ours      []string
		want      bool
	}{
		{"both seen by all", entry, "theirs", nil, "web", nil, true},
		{"theirs by its own", entry, "theirs", []string{"."}, "web", nil, false},
		{"theirs by its own, by name", entry, "theirs", []string{"theirs"}, "web", nil, false},
		{"theirs by nobody", entry, "theirs", []string{"~"}, "web", nil, false},
		{"ours by nobody", entry, "theirs", nil, "web", []string{"~"}, false},
		{"theirs by another", entry, "theirs", []string{".", "shop"}, "web", nil, true},
		{"by different ones", entry, "theirs", []string{"shop"}, "web", []string{"bank"}, false},
		{"ours by another", entry, "theirs", []string{"*"}, "web", []string{"bank"}, true},
		{"ours by theirs only", entry, "theirs", []string{"*"}, "web", []string{"theirs"}, false},
		{"ours by its own, theirs by all", entry, "theirs", nil, "web", []string{"."}, true},
		{"ours by its own, theirs by ours", entry, "theirs", []string{"ours"}, "web", []string{"."}, true},
		{"in one namespace", entry, "ours", []string{"."}, "web", nil, true},
		{"a Service's short name where ours is seen", service, "shop", nil, "web", []string{"shop"}, true},
		{"a Service's short name where ours is not seen", service, "shop", nil, "web", []string{"bank"}, false},
		{"a Service's name with its namespace", service, "shop", nil, "web.shop", []string{"bank"}, true},
		{"a Service's name, ours by nobody", service, "shop", nil, "web.shop", []string{"~"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim := claim{kind: c.kind, namespace: c.namespace, name: "web", exportTo: c.theirs}
			if got := claim.concerns(c.host, "ours", &networking.ServiceEntry{ExportTo: c.ours}); got != c.want {
				t.Errorf("it is %v", got)
			}
		})
	}
}
