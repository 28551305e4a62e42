package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// desired returns the desired addresses of each service, by its ServiceEntry.
func (b *outputWithEngine) desired() map[string]string {
	all := map[string]string{}
	for _, name := range b.Names() {
		var texts []string
		for _, address := range mesh.AddressesOf(b.Desired(name).Objects) {
			texts = append(texts, address.String())
		}
		all[name.ServiceEntry()] = strings.Join(texts, " ")
	}
	return all
}

// versions returns the resource version of each ServiceEntry in a namespace.
func versions(t *testing.T, c client.Client, namespace string) map[string]string {
	t.Helper()
	var list networkingv1.ServiceEntryList
	if err := c.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range list.Items {
		all[entry.Name] = entry.ResourceVersion
	}
	return all
}

// startPair starts a replica that leads and a standby. Both know that there is no service yet.
func startPair(t *testing.T, ns, prefix string) (leader, standby *outputWithEngine) {
	t.Helper()
	elect := func(identity string) func(*Options) {
		return func(o *Options) {
			o.Election = &Election{
				Namespace: ns, Name: "isthmus-consul", Identity: identity,
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			}
		}
	}
	leader = startWithEngine(t, ns, prefix, elect("first"))
	eventually(t, true, func() bool { return leader.figure("isthmus_leader") == 1 })
	standby = startWithEngine(t, ns, prefix, elect("second"))
	for _, b := range []*outputWithEngine{leader, standby} {
		b.sink.Synced("consul", true)
		eventually(t, true, b.Complete)
		eventually(t, nil, b.output.Ready)
	}
	return leader, standby
}

// TestStandbyDetectsYieldedHosts verifies that each replica tells its other outputs which hosts are yielded, and when
// they are free again, because a standby answers DNS queries too.
func TestStandbyDetectsYieldedHosts(t *testing.T) {
	t.Parallel()
	const ns, theirs = "left-ours", "left-theirs" // No other test has these hosts: all tests see the whole cluster.
	c := newClient(t)
	makeNamespace(t, c, theirs)
	old := entryOf(theirs, "theirs-first", nil, "theirs-first.service.consul")
	create(t, c, old)
	leader, standby := startPair(t, ns, "10.79.0.0/28")
	left := func(name string, hosts ...string) {
		t.Helper()
		for _, b := range []*outputWithEngine{leader, standby} {
			eventually(t, hosts, func() []string { return b.Desired(mesh.Name{Source: "consul", Label: name}).YieldedHosts })
		}
	}
	for _, b := range []*outputWithEngine{leader, standby} {
		b.report("theirs-first", "ours-first")
	}
	awaitGiven(t, c, ns, 1)
	left("theirs-first", "theirs-first.service.consul")
	newer(t, c, ns)
	create(t, c, entryOf(theirs, "ours-first", nil, "ours-first.service.consul"))
	eventually(t, true, func() bool { return leader.conflictsWith("ServiceEntry left-theirs/ours-first") })
	left("ours-first")
	remove(t, c, old)
	left("theirs-first")
	awaitGiven(t, c, ns, 2)
	if found, count := standby.output.Conflicts(); count > 0 || strings.Contains(standby.log.String(), "left-theirs/ours-first") {
		t.Errorf("the standby reports conflicts, too: %v", found)
	}
}

// TestTakeoverKeepsAddresses verifies that a standby uses the addresses that the leader assigned, although it saw the
// services in another order and assigned others, and that a takeover writes nothing.
func TestTakeoverKeepsAddresses(t *testing.T) {
	t.Parallel()
	const ns, prefix = "takeover", "10.78.0.0/28"
	c := newClient(t)
	leader, standby := startPair(t, ns, prefix)
	var names []string
	for n := range 13 {
		names = append(names, fmt.Sprint("s", n))
	}
	for n, name := range slices.Backward(names) { // The standby is first, so it assigns addresses that the leader assigns to others.
		standby.report(name)
		eventually(t, len(names)-n, func() int { return len(standby.desired()) })
	}
	own := standby.desired()
	for n, name := range names {
		leader.report(name)
		eventually(t, n+1, func() int { return len(leader.desired()) })
	}
	stand := awaitGiven(t, c, ns, len(names))
	differ := 0
	for name, address := range stand {
		if own[name] != address {
			differ++
		}
	}
	if differ == 0 {
		t.Fatal("both replicas assigned the same addresses, so nothing is tested")
	}
	eventually(t, stand, standby.desired)

	before := versions(t, c, ns)
	leader.stop()
	eventually(t, true, func() bool { return standby.figure("isthmus_leader") == 1 })
	standby.report("late")
	after := awaitGiven(t, c, ns, len(names)+1)
	if after["late.consul"] == "" {
		t.Error("the new service has no address")
	}
	delete(after, "late.consul")
	now := versions(t, c, ns)
	for name, version := range before {
		if stand[name] != after[name] || now[name] != version {
			t.Errorf("%s has %s, had %s; written: %v", name, after[name], stand[name], now[name] != version)
		}
	}
}
