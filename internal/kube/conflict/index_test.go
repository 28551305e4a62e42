package conflict

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func name(label string) mesh.Name { return mesh.Name{Source: "consul", Label: label} }

func foreignEntry(name string, hosts []string, addresses ...string) Foreign {
	f := Foreign{kind: serviceEntryKind, namespace: "ns", name: name, hosts: hosts}
	for _, address := range addresses {
		f.addresses = append(f.addresses, netip.MustParsePrefix(address))
	}
	return f
}

// TestIndexFinds verifies that a service finds the foreign objects that have its hosts and addresses, until they change.
func TestIndexFinds(t *testing.T) {
	x := newIndexes()
	x.Update(foreignEntry("b", []string{"web", "db"}, "10.77.0.1/32"))
	x.Update(foreignEntry("a", []string{"web", "web"}, "10.77.0.0/24"))
	find := func() (hosts, addresses map[string][]string) {
		hosts, addresses = map[string][]string{}, map[string][]string{}
		for host, foreign := range x.SetHosts(name("web"), []string{"web", "cache"}) {
			for _, f := range foreign {
				hosts[host] = append(hosts[host], f.name)
			}
		}
		given := []netip.Addr{netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("10.77.1.1")}
		for address, foreign := range x.SetAddresses(name("web"), given) {
			for _, f := range foreign {
				addresses[address.String()] = append(addresses[address.String()], f.name)
			}
		}
		return hosts, addresses
	}
	expect := func(wantHosts, wantAddresses map[string][]string) {
		t.Helper()
		hosts, addresses := find()
		if diff := cmp.Diff(wantHosts, hosts); diff != "" {
			t.Errorf("hosts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantAddresses, addresses); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
	}
	expect(map[string][]string{"web": {"a", "b"}}, map[string][]string{"10.77.0.1": {"a", "b"}, "10.77.0.2": {"a"}})
	x.Update(foreignEntry("a", []string{"cache"}))
	expect(map[string][]string{"web": {"b"}, "cache": {"a"}}, map[string][]string{"10.77.0.1": {"b"}})
	x.Update(foreignEntry("a", nil))
	x.Update(foreignEntry("b", nil))
	expect(map[string][]string{}, map[string][]string{})
	x.SetHosts(name("web"), nil)
	x.SetAddresses(name("web"), nil)
	left := len(x.objects) + len(x.hosts.foreign.keys) + len(x.hosts.foreign.owners) + len(x.hosts.desired.keys) + len(x.hosts.desired.owners) +
		len(x.addresses.foreign.keys) + len(x.addresses.foreign.owners) + len(x.addresses.desired.keys) + len(x.addresses.desired.owners) + len(x.addresses.wide)
	if left > 0 {
		t.Errorf("%d entries remain", left)
	}
}

// TestIndexAffects verifies that a change of a foreign object affects the services that have one of its old or new keys.
func TestIndexAffects(t *testing.T) {
	for _, c := range []struct {
		name      string
		now       Foreign
		want      []mesh.Name
		addresses bool
	}{
		{"unchanged", foreignEntry("a", []string{"web"}, "10.77.0.0/31"), nil, false},
		{"gone", foreignEntry("a", nil), []mesh.Name{name("by-address"), name("web")}, true},
		{"another host", foreignEntry("a", []string{"db"}, "10.77.0.0/31"), []mesh.Name{name("by-address"), name("db"), name("web")}, true},
		{"another address", foreignEntry("a", []string{"web"}, "10.77.0.9/32"), []mesh.Name{name("by-address"), name("other"), name("web")}, true},
		{"another object", foreignEntry("b", []string{"db"}), []mesh.Name{name("db")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newIndexes()
			x.Update(foreignEntry("a", []string{"web"}, "10.77.0.0/31"))
			x.SetHosts(name("web"), []string{"web"})
			x.SetHosts(name("db"), []string{"db"})
			x.SetAddresses(name("by-address"), []netip.Addr{netip.MustParseAddr("10.77.0.1")})
			x.SetAddresses(name("other"), []netip.Addr{netip.MustParseAddr("10.77.0.9")})
			affected, changed := x.Update(c.now)
			if diff := cmp.Diff(c.want, affected); diff != "" || changed != c.addresses {
				t.Errorf("addresses changed %v, want %v (-want +got):\n%s", changed, c.addresses, diff)
			}
		})
	}
}
