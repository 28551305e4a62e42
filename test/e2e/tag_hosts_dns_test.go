package e2e

import (
	"testing"

	"github.com/miekg/dns"
)

// TestDNSOfTagsAnswersAsConsul verifies that isthmus itself answers the hosts of tags as Consul's DNS does, if it answers with
// instances: with the healthy instances that have the tag, in any case of the letters, and after the tag has moved.
func TestDNSOfTagsAnswersAsConsul(t *testing.T) {
	w, consul := startConsulOnly(t)
	leader := instance{service: "pg", id: "pg-1", address: "10.6.0.1", port: 5432, weight: 3, tags: []string{"Master", "v1"}}
	replica := instance{service: "pg", id: "pg-2", address: "10.6.0.2", port: 5433, tags: []string{"replica"}}
	w.register(
		t, leader, replica,
		instance{service: "pg", id: "pg-3", address: "10.6.0.3", port: 5432, tags: []string{"replica"}, health: "critical"},
		instance{service: "pg", id: "pg-4", address: "fd00::6", port: 5432, tags: []string{"replica", "role=master"}},
		instance{service: "Foo_Bar", id: "foo", address: "10.6.0.9", port: 90, tags: []string{"master"}},
	)
	server := w.startNames(t, "dns: {answer: instances}\nmesh: {tagHosts: [master, REPLICA]}", "--output", "stdout")
	compare := func() {
		t.Helper()
		for _, name := range []string{
			"master.pg.service.consul.", "MASTER.pg.service.consul.", "_pg._master.service.consul.", "replica.pg.service.consul.",
			"_pg._Replica.service.consul.", "unknown.pg.service.consul.", "_pg._unknown.service.consul.", "master.unknown.service.consul.",
		} {
			for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
				if kind != dns.TypeSRV && name[0] == '_' {
					continue // Consul answers the SRV name with addresses
				}
				want, err := ask(t.Context(), consul, "udp", name, kind)
				if err != nil {
					t.Fatal(err)
				}
				awaitAnswer(t, server, name, kind, want...)
			}
		}
	}
	compare()
	leader.tags, replica.tags = replica.tags, leader.tags
	w.register(t, leader, replica)
	compare()
}
