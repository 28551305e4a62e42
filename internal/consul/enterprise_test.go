package consul

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestEnterpriseSettings verifies that a source for a namespace or a partition is refused with the name of the variable, and
// that the defaults of both are no parameters of requests.
func TestEnterpriseSettings(t *testing.T) {
	for _, variable := range []string{"CONSUL_NAMESPACE", "CONSUL_PARTITION"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "team-a")
			_, err := New(Options{Name: "test", Config: api.DefaultConfig()})
			if err == nil || !strings.Contains(err.Error(), "unset "+variable) || !strings.Contains(err.Error(), "team-a") {
				t.Errorf("got %v", err)
			}
		})
	}
	s := startServer(t, "")
	s.register("n1", "web-1", "web")
	t.Setenv("CONSUL_NAMESPACE", "default")
	t.Setenv("CONSUL_PARTITION", "default")
	config := api.DefaultConfig()
	config.Address = s.Address
	p := runReal(t, Options{Config: config})
	p.synced(t)
	p.expect(t, "web", "n1/web-1")
}

// TestEnterpriseParameters verifies what docs/compatibility.md says of an open-source Consul: it refuses requests for a
// namespace or a partition, even for the default ones.
func TestEnterpriseParameters(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	for _, q := range []*api.QueryOptions{{Namespace: "default"}, {Namespace: "team-a"}, {Partition: "default"}, {Partition: "team-a"}} {
		if _, _, err := s.api.Catalog().Services(q); statusOf(err) != 400 || !strings.Contains(err.Error(), "Consul Enterprise feature") {
			t.Errorf("namespace %q, partition %q: %v", q.Namespace, q.Partition, err)
		}
	}
}

// TestPeers verifies, with a peering of two servers, that services imported from a peer are left out, also if a service of the
// cluster has the same name. It verifies what docs/compatibility.md says of the API: the catalog lists no imported services,
// whatever the parameter peer says, while the health of an imported service can be read.
func TestPeers(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	start := func(name string) *server {
		consul, err := run.StartConsul(t.Context(), testbed.ConsulOptions{Name: name, Datacenter: name, Peering: true})
		if err != nil {
			t.Fatal(err)
		}
		return &server{Consul: consul, t: t, api: consul.Client()}
	}
	east, west := start("east"), start("west")
	east.register("n1", "web-east", "web")
	east.register("n1", "db-east", "db")
	west.register("n2", "web-west", "web")
	west.peerWith(t, east)
	east.export(t, "web")
	imported := func(name string) []*api.ServiceEntry {
		entries, _, err := west.api.Health().Service(name, "", false, &api.QueryOptions{Peer: "east"})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	peering := func() (*api.Peering, uint64) {
		read, meta, err := west.api.Peerings().Read(t.Context(), "east", nil)
		if err != nil {
			t.Fatal(err)
		}
		return read, meta.LastIndex
	}
	eventually(t, "a service is imported", func() bool { return len(imported("web")) == 1 })
	_, before := peering()
	east.export(t, "web", "db")
	eventually(t, "another service is imported", func() bool {
		read, _ := peering()
		return len(imported("db")) == 1 && slices.Contains(read.StreamStatus.ImportedServices, "db")
	})
	if _, after := peering(); after != before {
		t.Errorf("the index of the peering changed from %d to %d", before, after)
	}
	for _, peer := range []string{"", "east", "unknown"} {
		names, _, err := west.api.Catalog().Services(&api.QueryOptions{Peer: peer})
		if _, listed := names["db"]; err != nil || listed || len(names["web"]) != 0 {
			t.Errorf("peer %q: the list is %v, %v", peer, names, err)
		}
	}
	if all := convert(catalog.Key{Source: "test", Name: "web"}, "", imported("web"), ""); len(all.Instances) != 0 {
		t.Errorf("imported instances: %+v", all.Instances)
	}
	p := runReal(t, Options{Config: &api.Config{Address: west.Address}, Wait: time.Second})
	p.synced(t)
	if got := p.sink.all(); !slices.Equal(got, []string{"web: n2/web-west", "synced test"}) {
		t.Errorf("got %q", got)
	}
	// The alternative: the Consul of the peer is a source of its own.
	p = runReal(t, Options{Config: &api.Config{Address: east.Address}})
	p.synced(t)
	p.expect(t, "db", "n1/db-east")
}

// peerWith lets the server import services from another one.
func (s *server) peerWith(t *testing.T, from *server) {
	t.Helper()
	eventually(t, "the peering", func() bool {
		token, _, err := from.api.Peerings().GenerateToken(t.Context(), api.PeeringGenerateTokenRequest{PeerName: "importer"}, nil)
		if err != nil {
			return false
		}
		_, _, err = s.api.Peerings().Establish(t.Context(), api.PeeringEstablishRequest{PeerName: "east", PeeringToken: token.PeeringToken}, nil)
		return err == nil
	})
}

// export exports services to the importer.
func (s *server) export(t *testing.T, services ...string) {
	t.Helper()
	entry := &api.ExportedServicesConfigEntry{Name: "default"}
	for _, service := range services {
		entry.Services = append(entry.Services, api.ExportedService{Name: service, Consumers: []api.ServiceConsumer{{Peer: "importer"}}})
	}
	if _, _, err := s.api.ConfigEntries().Set(entry, nil); err != nil {
		t.Fatal(err)
	}
}
