package vip_test

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// TestExclude verifies that excluded addresses are not allocated, and that a service which has one keeps it until Evict.
func TestExclude(t *testing.T) {
	p, have, names := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}, fleet(230)
	p.Freeze("consul", noon)
	allocate(t, p, have, names[:100]...)
	before := maps.Clone(have)
	excluded := prefixes("10.0.0.0/28", "fd00::0/124", "192.0.2.0/24", "0.0.0.0/0", "10.0.0.0/24")
	for _, name := range names[:3] {
		excluded = append(excluded, netip.PrefixFrom(have[name][0], 32))
	}
	if covering := p.Exclude(excluded); !slices.Equal(covering, prefixes("0.0.0.0/0", "10.0.0.0/24")) {
		t.Errorf("prefixes that cannot be excluded: %v", covering)
	}
	allocate(t, p, have, names...)
	distinct(t, have)
	for name, addresses := range have {
		switch had, has := before[name]; {
		case has && !slices.Equal(had, addresses):
			t.Errorf("%s moved from %v to %v", name, had, addresses)
		case !has && slices.ContainsFunc(addresses, func(a netip.Addr) bool { return excluded[0].Contains(a) || excluded[1].Contains(a) }):
			t.Errorf("%s got the excluded address %v", name, addresses)
		}
	}
	first, address := names[0], have[names[0]][0]
	if p.Evict(first, have[names[1]][0]) || p.Evict(names[4], have[names[4]][0]) || !p.Evict(first, address) {
		t.Error("Evict does not match address and exclusion")
	}
	allocate(t, p, have, first)
	distinct(t, have)
	if have[first][0] == address || have[first][1] != before[first][1] {
		t.Errorf("after its eviction from %s the service has %v", address, have[first])
	}
	p.Exclude(nil)
	allocate(t, p, have, fleet(254)...) // all addresses of the range
	if !slices.ContainsFunc(slices.Collect(maps.Values(have)), func(a []netip.Addr) bool { return a[0] == address }) {
		t.Errorf("%s is not allocated although it is free again", address)
	}
}

// TestRegister verifies that addresses of instances are not allocated, independent of the order before Freeze.
func TestRegister(t *testing.T) {
	names := fleet(150)
	var registered []netip.Addr
	for i := byte(1); i < 100; i++ {
		registered = append(registered, netip.AddrFrom4([4]byte{10, 0, 0, i}))
	}
	var first map[mesh.Name][]netip.Addr
	for round := range 20 {
		p, have := vip.New(options("10.0.0.0/24", "")), map[mesh.Name][]netip.Addr{}
		steps := rand.Perm(len(names) + len(registered))
		for _, step := range steps {
			if step < len(names) {
				allocate(t, p, have, names[step])
			} else if displaced := p.Register(registered[step-len(names)]); displaced != (mesh.Name{}) {
				allocate(t, p, have, displaced)
			}
		}
		distinct(t, have)
		if round == 0 {
			first = maps.Clone(have)
		} else if diff := cmp.Diff(first, have, byValue); diff != "" {
			t.Fatalf("another order of events gives other addresses:\n%s", diff)
		}
		for name, addresses := range have {
			if slices.Contains(registered, addresses[0]) {
				t.Errorf("%s has %s, the address of an instance", name, addresses[0])
			}
		}
		p.Freeze("consul", noon)
		address := have[names[0]][0]
		p.Register(address)
		if allocate(t, p, have, names...); have[names[0]][0] != address {
			t.Error("a service lost its address to an instance that was added after Freeze")
		}
		p.Register(registered[0])
		p.Deregister(registered[0])
		p.Deregister(registered[1])
		late := make(map[netip.Addr]bool)
		for _, name := range fleet(156)[150:] {
			allocate(t, p, have, name)
			late[have[name][0]] = true
		}
		if late[registered[0]] || !late[registered[1]] {
			t.Errorf("new services have %v; %s is registered, %s is not", late, registered[0], registered[1])
		}
	}
}

// TestAdopt verifies that a standby ends with the addresses of the leader, independent of its own earlier allocations
// and of the order in which it learns them.
func TestAdopt(t *testing.T) {
	names := fleet(240)
	for range 20 {
		leader, live := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}
		standby, own := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}
		for _, name := range names[:120] {
			leader.Freeze("consul", noon)
			allocate(t, leader, live, name)
		}
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		standby.Freeze("consul", noon)
		allocate(t, standby, own, names...)
		for name, addresses := range live {
			displaced, adopted := standby.Adopt(name, addresses)
			if !adopted {
				t.Fatalf("%s is refused %v", name, addresses)
			}
			allocate(t, standby, own, append(displaced, name)...)
		}
		distinct(t, own)
		for name, addresses := range live {
			if !slices.Equal(addresses, own[name]) {
				t.Errorf("%s has %v in the mesh, %v on this replica", name, addresses, own[name])
			}
		}
		for name, addresses := range live { // a forged object has the address of another service
			if _, adopted := standby.Adopt(mesh.Name{Source: "consul", Label: "forged"}, addresses); adopted {
				t.Errorf("%s lost its address", name)
			}
			break
		}
		names = fleet(240)
	}
}
