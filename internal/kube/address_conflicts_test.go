package kube

import (
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
)

func addressed(namespace, name string, addresses ...string) *networkingv1.ServiceEntry {
	entry := entryOf(namespace, name, nil, name+".example.com")
	entry.Spec.Addresses = addresses
	return entry
}

// TestAddressConflicts verifies that no service gets a virtual address that a foreign object has, that a service keeps
// its address when a foreign object takes it later, that it gets another one if istiod would prefer the foreign
// object, and that all other services keep theirs.
func TestAddressConflicts(t *testing.T) {
	const ns, theirs = "address-ours", "address-theirs"
	c := newClient(t)
	makeNamespace(t, c, theirs)
	first := startWithEngine(t, ns, "10.77.0.0/28", nil) // Which addresses would the services get?
	names := []string{"a", "b", "c", "d"}
	first.report(names...)
	first.sink.Synced("consul", true)
	free := awaitGiven(t, c, ns, 4)
	first.stop()
	remove(t, c, &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "a.consul"}},
		&networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "b.consul"}})

	// Foreign objects have the first choices of a and b.
	old, wide := addressed(theirs, "old", free["a.consul"]), addressed(theirs, "wide", free["b.consul"]+"/32", "192.0.2.0/24")
	late := addressed(theirs, "late", "192.0.2.2")
	create(t, c, old, wide, late)
	b := startWithEngine(t, ns, "10.77.0.0/28", nil)
	b.report(names...)
	b.sink.Synced("consul", true)
	now := awaitGiven(t, c, ns, 4)
	for _, name := range []string{"a.consul", "b.consul"} {
		if now[name] == free[name] || now[name] == "" {
			t.Errorf("%s has %q, which a foreign object has", name, now[name])
		}
	}
	if now["c.consul"] != free["c.consul"] || now["d.consul"] != free["d.consul"] {
		t.Errorf("other services moved from %v to %v", free, now)
	}
	if avoided := b.figure("isthmus_virtual_addresses_excluded"); avoided != 2 {
		t.Errorf("%v addresses are excluded, want 2", avoided)
	}
	if lines := countLines(b.log, "level=WARN", " count=2 address="); lines != 1 {
		t.Errorf("%d warnings about excluded addresses, want 1", lines)
	}

	// A newer object takes nothing. It is a conflict until it is gone.
	newer(t, c, ns)
	newcomer := addressed(theirs, "newcomer", now["c.consul"])
	create(t, c, newcomer)
	eventually(t, 1, func() float64 { return b.figure("isthmus_kubernetes_address_conflicts") })
	eventually(t, true, func() bool { return b.conflictsWith("ServiceEntry address-theirs/newcomer") })
	if found, _ := b.output.Conflicts(); len(found) != 1 || found[0].Address.String() != now["c.consul"] || found[0].Outcome != conflict.Kept {
		t.Errorf("conflicts %v", found)
	}
	b.report("e")
	if after := awaitGiven(t, c, ns, 5); after["c.consul"] != now["c.consul"] || after["e.consul"] == "" {
		t.Errorf("a newer object changed %v to %v", now, after)
	}
	remove(t, c, newcomer)
	eventually(t, 0, func() float64 { return b.figure("isthmus_kubernetes_address_conflicts") })

	// An older object that is changed to have our address gets its connections, so our service moves.
	late.Spec.Addresses = []string{now["b.consul"]}
	if err := c.Update(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	eventually(t, true, func() bool {
		moved := given(t, c, ns)["b.consul"]
		return moved != now["b.consul"] && moved != ""
	})
	after := given(t, c, ns)
	seen := map[string]bool{}
	for name, address := range after {
		if had := now[name]; had != "" && name != "b.consul" && had != address || seen[address] || address == free["a.consul"] {
			t.Errorf("%s has %s, had %s", name, address, had)
		}
		seen[address] = true
	}
	b.stop()
	again := startWithEngine(t, ns, "10.77.0.0/28", nil)
	again.report(append(names, "e")...)
	again.sink.Synced("consul", true)
	eventually(t, true, again.Complete)
	eventually(t, nil, again.output.Ready)
	for name, address := range given(t, c, ns) {
		if after[name] != address {
			t.Errorf("a restart moved %s from %s to %s", name, after[name], address)
		}
	}
}
