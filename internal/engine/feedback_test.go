package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestAddressesOfInstancesAreExcluded verifies that no service gets the address of an instance, and that a service that
// already has the address keeps it.
func TestAddressesOfInstancesAreExcluded(t *testing.T) {
	source := newFakeSource("consul")
	e := startWith(t, addressed(nil), newFakeOutput(), source)
	clashing := reported("consul", "clashing", "1", "2", "3", "4", "5")
	for i := range clashing.Instances {
		clashing.Instances[i].Address = fmt.Sprint("10.9.0.", i+1)
	}
	for i := range 4 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.report(clashing)
	for i := range 4 {
		source.report(reported("consul", fmt.Sprint("t", i), "1"))
	}
	source.sync()
	eventually(t, true, distinct(e, 9))
	eventually(t, true, e.Complete)
	before := addresses(e)
	for name, address := range before {
		for _, instance := range clashing.Instances {
			if address == "["+instance.Address+"]" {
				t.Errorf("%s has the address of an instance, %s", name, address)
			}
		}
	}
	late := reported("consul", "late", "1")
	late.Instances[0].Address = before["s1"][1 : len(before["s1"])-1]
	source.report(late)
	source.report(reported("consul", "clashing"))
	source.report(reported("consul", "clashing", "1"))
	for i := range 4 { // 14 services need all addresses of the range
		source.report(reported("consul", fmt.Sprint("u", i), "1"))
	}
	eventually(t, true, distinct(e, 14))
	for name, had := range before {
		if now := addresses(e)[name]; now != had {
			t.Errorf("%s has %s, had %s", name, now, had)
		}
	}
}

// TestVirtualAddressesOfConsulAreExcluded verifies that no service gets a virtual address that Consul's own mesh gave to a
// service, and that such an address is a finding.
func TestVirtualAddressesOfConsulAreExcluded(t *testing.T) {
	source := newFakeSource("consul")
	e := startWith(t, addressed(nil), newFakeOutput(), source)
	taken := reported("consul", "taken", "1", "2")
	for i := range taken.Instances {
		taken.Instances[i].Virtual = []string{"10.9.0.1", "10.9.0.2", "10.10.0.1", "no address"}
	}
	for i := range 11 { // with "taken", the services need all addresses that are left
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.report(taken)
	source.sync()
	eventually(t, true, distinct(e, 12))
	eventually(t, true, e.Complete)
	for name, address := range addresses(e) {
		if address == "[10.9.0.1]" || address == "[10.9.0.2]" {
			t.Errorf("%s has %s", name, address)
		}
	}
}

// TestAddressesFollowTheLeader verifies that services adopt the addresses that the leader assigned, in any order of the
// reports. It also verifies that a service loses an address to a foreign object only if the object has it.
func TestAddressesFollowTheLeader(t *testing.T) {
	source := newFakeSource("consul")
	e := startWith(t, addressed(nil), newFakeOutput(), source)
	for i := range 10 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.sync()
	eventually(t, true, distinct(e, 10))
	eventually(t, true, e.Complete)
	given := map[string]string{}
	own := slices.Sorted(maps.Values(addresses(e)))
	for i := range 10 { // each service gets the address of another one
		given[fmt.Sprint("s", i)] = own[i]
	}
	for name, address := range given {
		ip := netip.MustParseAddr(address[1 : len(address)-1])
		<-e.ReportConflicts(contract.Conflicts{LeaderAddresses: map[mesh.Name][]netip.Addr{{Source: "consul", Label: name}: {ip}}})
	}
	eventually(t, given, func() map[string]string { return addresses(e) })

	s1, s2 := mesh.Name{Source: "consul", Label: "s1"}, mesh.Name{Source: "consul", Label: "s2"}
	lost := mesh.AddressesOf(e.Desired(s1).Objects)
	others := []netip.Prefix{netip.PrefixFrom(lost[0], 32)}
	<-e.ReportConflicts(contract.Conflicts{ForeignAddresses: func() []netip.Prefix { return others }})
	if got := addresses(e)["s1"]; got != given["s1"] {
		t.Errorf("s1 has %s, had %s", got, given["s1"])
	}
	<-e.ReportConflicts(contract.Conflicts{LostAddresses: map[mesh.Name][]netip.Addr{s1: lost, s2: mesh.AddressesOf(e.Desired(s2).Objects)}})
	if got := addresses(e); got["s1"] == given["s1"] || got["s2"] != given["s2"] || !distinct(e, 10)() {
		t.Errorf("s1 lost %s; the addresses are %v, were %v", lost, got, given)
	}
	<-e.ReportConflicts(contract.Conflicts{ForeignAddresses: func() []netip.Prefix { return nil }})
	for i := range 4 {
		source.report(reported("consul", fmt.Sprint("t", i), "1"))
	}
	eventually(t, true, distinct(e, 14)) // the freed addresses are assigned
}

// TestYieldedHosts verifies that outputs are notified when the yielded hosts of a service change, and not if they stay the
// same.
func TestYieldedHosts(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := start(t, out, source)
	source.report(reported("consul", "web", "1"))
	web := mesh.Name{Source: "consul", Label: "web"}
	eventually(t, []string{"web"}, out.labels)
	reads := out.count()
	for _, left := range [][]string{{"web", "web.service.consul"}, {"web"}, nil} {
		<-e.ReportConflicts(contract.Conflicts{YieldedHosts: map[mesh.Name][]string{web: left}})
		<-e.ReportConflicts(contract.Conflicts{YieldedHosts: map[mesh.Name][]string{web: left}})
		if got := e.Desired(web); !slices.Equal(got.YieldedHosts, left) || len(got.Objects) == 0 {
			t.Errorf("yielded hosts %q, want %q", got.YieldedHosts, left)
		}
		reads++
		eventually(t, reads, out.count)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if hosts := e.byName[web].yieldedHosts; hosts != nil {
		t.Errorf("an empty list of yielded hosts is kept: %q", hosts)
	}
}
