package dns_test

import (
	"fmt"
	"net/netip"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// serveTags sets the desired objects of a service with tags that have hosts.
func (f *fixture) serveTags(former []string, tags ...string) {
	all := instances(len(tags))
	for i, tag := range tags {
		all[i].Tags = []string{tag}
	}
	name := mesh.Name{Source: "consul", Label: "pg"}
	service := catalog.Service{Key: catalog.Key{Source: "consul", Name: "pg"}, Datacenter: "dc1", Instances: all, FormerTags: former}
	resources, _ := mesh.Translate(service, name, mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", Form: mesh.WorkloadEntryForm, DefaultProtocol: "TCP", TagHosts: []string{"*"},
	})
	resources.SetAddresses([]netip.Addr{netip.MustParseAddr("244.0.0.1")})
	f.state.set(name, &contract.Desired{Resources: resources, Authoritative: true})
	f.Notify(name)
	for i, host := range resources.TagHosts {
		desired := mesh.Resources{Objects: host.Objects}
		desired.SetAddresses([]netip.Addr{netip.AddrFrom4([4]byte{244, 0, 1, byte(i)}), netip.MustParseAddr("fd00:1::1")})
		f.state.set(name.OfTag(host.Tag), &contract.Desired{Resources: desired, Authoritative: true})
		f.Notify(name.OfTag(host.Tag))
	}
}

// TestTagHosts verifies the answers for the hosts of tags, with virtual addresses and with those of the instances. A host
// whose tag no instance has exists without addresses of instances.
func TestTagHosts(t *testing.T) {
	for _, virtual := range []bool{true, false} {
		options := defaults()
		options.Instances = !virtual
		f := prepare(t, options)
		f.serveTags([]string{"deposed"}, "master", "replica")
		f.state.change(func() { f.state.complete = true })
		f.Synced()
		until(t, func() bool { return f.Ready() == nil })
		for _, test := range []struct {
			name     string
			kind     uint16
			virtual  string
			instance string
		}{
			{"master.pg.service.consul.", miekg.TypeA, "244.0.1.1", "10.1.0.1"},
			{"MASTER.pg.service.consul.", miekg.TypeA, "244.0.1.1", "10.1.0.1"},
			{"replica.pg.service.consul.", miekg.TypeA, "244.0.1.2", "10.1.0.2"},
			{"master.pg.service.consul.", miekg.TypeAAAA, "fd00:1::1", ""},
			{"deposed.pg.service.consul.", miekg.TypeA, "244.0.1.0", ""},
			{"deposed.pg.service.consul.", miekg.TypeSRV, "9098 deposed.pg.service.consul.", ""},
			{"master.pg.service.consul.", miekg.TypeSRV, "9098 master.pg.service.consul.", "9098 0a010001.addr.dc1.consul."},
			{"_pg._master.service.consul.", miekg.TypeSRV, "9098 master.pg.service.consul.", "9098 0a010001.addr.dc1.consul."},
			{"_PG._Replica.service.consul.", miekg.TypeSRV, "9098 replica.pg.service.consul.", "9098 0a010002.addr.dc1.consul."},
			{"_pg._master.service.consul.", miekg.TypeA, "", ""},
			{"_master.service.consul.", miekg.TypeSRV, "", ""},
			{"_pg._other.service.consul.", miekg.TypeSRV, "NXDOMAIN", "NXDOMAIN"},
			{"_other.service.consul.", miekg.TypeSRV, "NXDOMAIN", "NXDOMAIN"},
			{"other.pg.service.consul.", miekg.TypeA, "NXDOMAIN", "NXDOMAIN"},
			{"pg.master.service.consul.", miekg.TypeA, "NXDOMAIN", "NXDOMAIN"},
		} {
			want := test.instance
			if virtual {
				want = test.virtual
			}
			if got := brief(f.ask(t, "udp", query(test.name, test.kind))); got != want {
				t.Errorf("virtual %v: %s %s is answered with %q, want %q", virtual, test.name, miekg.TypeToString[test.kind], got, want)
			}
		}
	}
}

// brief returns the data of the only answer, or the code of an error.
func brief(reply *miekg.Msg) string {
	switch {
	case reply.Rcode != miekg.RcodeSuccess:
		return miekg.RcodeToString[reply.Rcode]
	case len(reply.Answer) != 1:
		return ""
	}
	switch record := reply.Answer[0].(type) {
	case *miekg.A:
		return record.A.String()
	case *miekg.AAAA:
		return record.AAAA.String()
	case *miekg.SRV:
		return fmt.Sprint(record.Port, " ", record.Target)
	default:
		return record.String()
	}
}
