package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// floorPrefix is the prefix of services that isthmus excludes and the floors follow.
const floorPrefix = "floor-"

// benchCatalog is a Consul server with HTTPS and many services. Its limits are the defaults of Consul.
type benchCatalog struct {
	benchSize
	consul *testbed.Consul
	// address is the address, host:port, of HTTPS. authority is a file with the certificate of its authority. folder is
	// for further files.
	address, authority, folder string
	nodes                      int
}

func startBenchCatalog(t *testing.T, run *testbed.Run, size benchSize) *benchCatalog {
	t.Helper()
	c := &benchCatalog{benchSize: size, nodes: max(size.services/2, 1)}
	if n, err := strconv.Atoi(os.Getenv("BENCH_NODES")); err == nil {
		c.nodes = n
	}
	var err error
	if c.folder, err = run.Folder("bench"); err != nil {
		t.Fatal(err)
	}
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	c.address, c.authority = fmt.Sprint("127.0.0.1:", port), filepath.Join(c.folder, "authority.pem")
	signer, err := testbed.NewAuthority("bench")
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := signer.Issue()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"authority.pem": signer.PEM, "cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(c.folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The server keeps its state on disk, as in production. A -dev agent would indent its JSON responses.
	c.consul, err = run.StartConsul(t.Context(), testbed.ConsulOptions{Persistent: true, HCL: fmt.Sprintf(`
		performance { raft_multiplier = 1 }
		ports { https = %d }
		tls { https { cert_file = %q, key_file = %q } }`,
		port, filepath.Join(c.folder, "cert.pem"), filepath.Join(c.folder, "key.pem"))})
	if err != nil {
		t.Fatal(err)
	}
	c.load(t)
	return c
}

// client returns a client that speaks HTTP/2 and keeps its connections until the test ends.
func (c *benchCatalog) client(t *testing.T) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.Scheme, config.TLSConfig.CAFile = c.address, "https", c.authority
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(config.Transport.CloseIdleConnections)
	return client
}

// load registers all instances, and one service for a floor, in transactions of up to 120 operations.
func (c *benchCatalog) load(t *testing.T) {
	t.Helper()
	client := c.client(t)
	var ops api.TxnOps
	flush := func(least int) {
		if len(ops) < least || len(ops) == 0 {
			return
		}
		if ok, said, _, err := client.Txn().Txn(ops, nil); err != nil || !ok {
			t.Fatal(said, err)
		}
		ops = nil
	}
	for n := range c.nodes {
		ops = append(ops, &api.TxnOp{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: benchNode(n), Address: "10.0.0.1"}}})
		flush(120)
	}
	for n := range c.services + 1 {
		name := numberedService(n)
		if n == c.services {
			name = floorPrefix + "00000"
		}
		for k := range c.instances {
			r := c.registration(name, n, k)
			check := *r.Checks[0]
			ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: r.Node, Service: *r.Service}},
				&api.TxnOp{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: api.HealthCheck{
					Node: r.Node, CheckID: check.CheckID, ServiceID: check.ServiceID, Name: check.Name, Status: check.Status, Type: check.Type,
				}}})
			flush(120)
		}
	}
	flush(1)
}

func benchNode(n int) string { return fmt.Sprintf("node-%05d", n) }

func numberedService(n int) string { return fmt.Sprintf("service-%05d", n) }

// registration returns the kth instance of the nth service.
func (c *benchCatalog) registration(name string, n, k int) *api.CatalogRegistration {
	id, node := fmt.Sprintf("%s-%d", name, k), benchNode((n+k*31)%c.nodes)
	return &api.CatalogRegistration{
		Node: node, Address: "10.0.0.1", SkipNodeUpdate: true,
		Service: &api.AgentService{
			ID: id, Service: name, Port: 8080, Address: fmt.Sprintf("10.%d.%d.%d", k, n/250, n%250),
			Tags: []string{"http", "version=v1"}, Meta: map[string]string{"team": "a-team"},
			Weights: api.AgentWeights{Passing: 1, Warning: 1},
		},
		Checks: api.HealthChecks{{
			Node: node, CheckID: id, ServiceID: id, Name: "alive", Status: api.HealthPassing, Type: "http",
		}},
	}
}
