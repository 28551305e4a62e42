package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestWithout holds that a host that is left to others takes its DestinationRule with it, and changes no object in place.
func TestWithout(t *testing.T) {
	rule := func(host string) mesh.Object {
		return mesh.Object{Kind: mesh.DestinationRuleKind, Name: host, Spec: &networking.DestinationRule{Host: host}}
	}
	entry := &networking.ServiceEntry{Hosts: []string{"a", "b"}}
	all := []mesh.Object{{Kind: mesh.ServiceEntryKind, Name: "web", Spec: entry}, rule("a"), rule("b"), {Kind: mesh.WorkloadEntryKind, Name: "1"}}
	for _, c := range []struct {
		lost map[string]bool
		want []string
	}{
		{nil, []string{"web", "a", "b", "1"}},
		{map[string]bool{"a": false}, []string{"web", "a", "b", "1"}},
		{map[string]bool{"a": true, "b": false}, []string{"web", "b", "1"}},
		{map[string]bool{"a": true, "b": true}, nil},
	} {
		var got []string
		kept := without(all, c.lost)
		for _, object := range kept {
			got = append(got, object.Name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.lost, diff)
		}
		if len(kept) == 3 && len(kept[0].Spec.(*networking.ServiceEntry).Hosts) != 1 {
			t.Errorf("hosts %q", kept[0].Spec.(*networking.ServiceEntry).Hosts)
		}
	}
	if len(entry.Hosts) != 2 || len(all) != 4 || all[0].Spec != any(entry) {
		t.Error("the service's own objects were changed")
	}
}
