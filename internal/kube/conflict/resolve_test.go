package conflict

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var created = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// serviceWith returns a service that wants a host and an address. Live is its live ServiceEntry; nil for none.
func serviceWith(live *networkingv1.ServiceEntry) Service {
	s := Service{
		Name: mesh.Name{Source: "consul", Label: "web"},
		Desired: []mesh.Object{{Kind: mesh.ServiceEntryKind, Namespace: "ours", Name: "web.consul", Spec: &networking.ServiceEntry{
			Hosts: []string{"web"}, Addresses: []string{"10.77.0.1"},
		}}},
	}
	if live != nil {
		s.Live = map[object.Key]client.Object{object.LiveKeyOf(live): live}
	}
	return s
}

func liveEntry(age time.Duration, manager string, hosts, addresses []string) *networkingv1.ServiceEntry {
	return &networkingv1.ServiceEntry{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ours", Name: "web.consul", CreationTimestamp: metav1.NewTime(created.Add(-age)),
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationApply}},
		},
		Spec: networking.ServiceEntry{Hosts: hosts, Addresses: addresses},
	}
}

// TestResolve verifies the tables of the package comment: a service keeps a host or an address if its live ServiceEntry
// has it and is older than the foreign object.
func TestResolve(t *testing.T) {
	const older, equal, newer = time.Second, 0, -time.Second
	web, address := []string{"web"}, []string{"10.77.0.1"}
	for _, c := range []struct {
		name string
		live *networkingv1.ServiceEntry
		// hidden reports whether no namespace sees the foreign object.
		hidden bool
		// ranges reports whether the foreign object has a range in place of the single address.
		ranges        bool
		host, address []Outcome
	}{
		{name: "no live object", host: []Outcome{Yielded}, address: []Outcome{Yielded}},
		{name: "older live object", live: liveEntry(older, object.FieldOwner, web, address), host: []Outcome{Kept}, address: []Outcome{Kept}},
		{name: "live object of the same second", live: liveEntry(equal, object.FieldOwner, web, address), host: []Outcome{Yielded}, address: []Outcome{Yielded}},
		{name: "newer live object", live: liveEntry(newer, object.FieldOwner, web, address), host: []Outcome{Yielded}, address: []Outcome{Yielded}},
		{name: "older live object without the host", live: liveEntry(older, object.FieldOwner, nil, address), host: []Outcome{Yielded}, address: []Outcome{Kept}},
		{name: "older live object without the address", live: liveEntry(older, object.FieldOwner, web, nil), host: []Outcome{Kept}, address: []Outcome{Yielded}},
		{name: "older live object of another client", live: liveEntry(older, "kubectl", web, address), host: []Outcome{Yielded}, address: []Outcome{Yielded}},
		{name: "foreign range", ranges: true, host: []Outcome{Yielded}, address: []Outcome{Kept}},
		{name: "hidden foreign object", hidden: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			foreign := Foreign{
				kind: serviceEntryKind, namespace: "theirs", name: "web", created: created,
				addresses: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/32")},
			}
			if c.ranges {
				foreign.addresses = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
			}
			if c.hidden {
				foreign.exportTo = []string{"~"}
			}
			service := serviceWith(c.live)
			hosts := resolveHosts(service, map[string][]Foreign{"web": {foreign}})
			addresses := resolveAddresses(service, map[netip.Addr][]Foreign{netip.MustParseAddr("10.77.0.1"): {foreign}})
			if diff := cmp.Diff(c.host, outcomes(hosts)); diff != "" {
				t.Errorf("host (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.address, outcomes(addresses)); diff != "" {
				t.Errorf("address (-want +got):\n%s", diff)
			}
		})
	}
}

func outcomes(conflicts []Conflict) (all []Outcome) {
	for _, c := range conflicts {
		all = append(all, c.Outcome)
	}
	return all
}

// TestDropHosts verifies that a yielded host takes its DestinationRule along, and that no object is changed in place.
func TestDropHosts(t *testing.T) {
	rule := func(host string) mesh.Object {
		return mesh.Object{Kind: mesh.DestinationRuleKind, Name: host, Spec: &networking.DestinationRule{Host: host}}
	}
	entry := &networking.ServiceEntry{Hosts: []string{"a", "b"}}
	all := []mesh.Object{
		{Kind: mesh.ServiceEntryKind, Name: "web", Spec: entry},
		rule("a"), rule("b"),
		{Kind: mesh.WorkloadEntryKind, Name: "1"},
	}
	for _, c := range []struct {
		name    string
		yielded []string
		want    []string
		hosts   []string
	}{
		{"none", nil, []string{"web", "a", "b", "1"}, []string{"a", "b"}},
		{"one", []string{"a"}, []string{"web", "b", "1"}, []string{"b"}},
		{"all", []string{"a", "b"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got, hosts []string
			for _, kept := range dropHosts(all, c.yielded) {
				got = append(got, kept.Name)
				if entry, ok := kept.Spec.(*networking.ServiceEntry); ok {
					hosts = entry.Hosts
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.hosts, hosts); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
	if len(entry.Hosts) != 2 || len(all) != 4 || all[0].Spec != any(entry) {
		t.Error("the desired objects were changed in place")
	}
}

// TestCompleteHostOfService verifies that a Service has its complete host whatever its age, as in Istio, while the rule by
// age applies to its short names, and that other objects and other hosts are not affected.
func TestCompleteHostOfService(t *testing.T) {
	service := func(namespace, name string) Foreign {
		return Foreign{kind: serviceKind, namespace: namespace, name: name, created: created, hosts: []string{name, name + "." + namespace}}
	}
	for host, want := range map[string][]Outcome{
		"web.shop.svc.cluster.local":    {Yielded},
		"web.shop.svc.clusterset.local": {Yielded},
		"web.shop":                      {Kept},
		"web":                           {Kept},
		"web.shop.svc.example.com":      nil,
		"web.other.svc.cluster.local":   nil,
		"a.web.shop.svc.cluster.local":  nil,
		"shop.svc.cluster.local":        nil,
	} {
		t.Run(host, func(t *testing.T) {
			indexes := newIndexes()
			indexes.Update(service("shop", "web"))
			indexes.Update(Foreign{kind: serviceEntryKind, namespace: "shop", name: "short", created: created, hosts: []string{"web.other"}})
			ours := serviceWith(liveEntry(time.Hour, object.FieldOwner, []string{host}, nil))
			ours.Desired[0].Spec = &networking.ServiceEntry{Hosts: []string{host}}
			conflicts := resolveHosts(ours, indexes.SetHosts(ours.Name, []string{host}))
			if diff := cmp.Diff(want, outcomes(conflicts)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			affected, _ := indexes.Update(Foreign{kind: serviceKind, namespace: "shop", name: "web"})
			if (len(affected) > 0) != (len(want) > 0) {
				t.Errorf("the removal of the Service affects %v", affected)
			}
		})
	}
}
