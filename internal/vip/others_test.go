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

// Nobody is given what somebody else has; who had it before keeps it, until it is evicted.
func TestOthersAreAvoided(t *testing.T) {
	p, have, names := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}, fleet(230)
	p.Freeze("consul", noon)
	holdings(t, p, have, names[:100]...)
	before := maps.Clone(have)
	others := prefixes("10.0.0.0/28", "fd00::0/124", "192.0.2.0/24", "0.0.0.0/0", "10.0.0.0/24")
	for _, name := range names[:3] {
		others = append(others, netip.PrefixFrom(have[name][0], 32))
	}
	if whole := p.Exclude(others); !slices.Equal(whole, prefixes("0.0.0.0/0", "10.0.0.0/24")) {
		t.Errorf("what can't be avoided: %v", whole)
	}
	holdings(t, p, have, names...)
	distinct(t, have)
	for name, addresses := range have {
		switch had, has := before[name]; {
		case has && !slices.Equal(had, addresses):
			t.Errorf("%s moved from %v to %v", name, had, addresses)
		case !has && slices.ContainsFunc(addresses, func(a netip.Addr) bool { return others[0].Contains(a) || others[1].Contains(a) }):
			t.Errorf("%s was given %v, which is somebody else's", name, addresses)
		}
	}
	first, theirs := names[0], have[names[0]][0]
	if p.Evict(first, have[names[1]][0]) || p.Evict(names[4], have[names[4]][0]) || !p.Evict(first, theirs) {
		t.Error("evicted from what it hasn't, or from what is nobody else's, or not from what is")
	}
	holdings(t, p, have, first)
	distinct(t, have)
	if have[first][0] == theirs || have[first][1] != before[first][1] {
		t.Errorf("evicted from %s, it has %v", theirs, have[first])
	}
	p.Exclude(nil)
	holdings(t, p, have, fleet(254)...) // as many as there are
	if !slices.ContainsFunc(slices.Collect(maps.Values(have)), func(a []netip.Addr) bool { return a[0] == theirs }) {
		t.Errorf("%s isn't given though it is free again", theirs)
	}
}

// What instances are registered with is given to no newcomer, and a start depends on no order.
func TestRegisteredAddressesAreAvoided(t *testing.T) {
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
				holdings(t, p, have, names[step])
			} else if loser := p.Register(registered[step-len(names)]); loser != (mesh.Name{}) {
				holdings(t, p, have, loser)
			}
		}
		distinct(t, have)
		if round == 0 {
			first = maps.Clone(have)
		} else if diff := cmp.Diff(first, have, byValue); diff != "" {
			t.Fatalf("another order gave other addresses:\n%s", diff)
		}
		for name, addresses := range have {
			if slices.Contains(registered, addresses[0]) {
				t.Errorf("%s has %s, which is an instance's", name, addresses[0])
			}
		}
		p.Freeze("consul", noon)
		theirs := have[names[0]][0]
		p.Register(theirs)
		if holdings(t, p, have, names...); have[names[0]][0] != theirs {
			t.Error("a service lost its address to an instance that came later")
		}
		p.Register(registered[0])
		p.Deregister(registered[0])
		p.Deregister(registered[1])
		late := make(map[netip.Addr]bool)
		for _, name := range fleet(156)[150:] {
			holdings(t, p, have, name)
			late[have[name][0]] = true
		}
		if late[registered[0]] || !late[registered[1]] {
			t.Errorf("newcomers have %v; %s is still registered, %s isn't", late, registered[0], registered[1])
		}
	}
}

// A replica that follows what stands in the mesh has the same addresses, whatever it gave by itself before, and in
// whatever order it is told.
func TestAReplicaAdoptsWhatStands(t *testing.T) {
	names := fleet(240)
	for range 20 {
		leader, stands := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}
		standby, own := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}
		for _, name := range names[:120] {
			leader.Freeze("consul", noon)
			holdings(t, leader, stands, name)
		}
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		standby.Freeze("consul", noon)
		holdings(t, standby, own, names...)
		for name, addresses := range stands {
			displaced, adopted := standby.Adopt(name, addresses)
			if !adopted {
				t.Fatalf("%s isn't given %v", name, addresses)
			}
			holdings(t, standby, own, append(displaced, name)...)
		}
		distinct(t, own)
		for name, addresses := range stands {
			if !slices.Equal(addresses, own[name]) {
				t.Errorf("%s has %v in the mesh, %v here", name, addresses, own[name])
			}
		}
		for name, addresses := range stands { // somebody writes another's address into an object
			if _, adopted := standby.Adopt(mesh.Name{Source: "consul", Label: "forged"}, addresses); adopted {
				t.Errorf("%s lost its address", name)
			}
			break
		}
		names = fleet(240)
	}
}
