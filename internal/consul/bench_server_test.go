package consul

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// bench is a Consul server with many services. It also serves HTTPS.
type bench struct {
	*server
	services, instances, nodes int

	https   string
	ca      []byte
	client  *api.Client
	changes int
}

func newBench(t *testing.T, services, instances int) *bench {
	b := &bench{services: services, instances: instances, nodes: max(services/2, 1)}
	if n, err := strconv.Atoi(os.Getenv("BENCH_NODES")); err == nil {
		b.nodes = n
	}
	b.https = freeAddress(t)
	_, port, _ := net.SplitHostPort(b.https)
	cert, key := selfSigned(t)
	b.ca = cert
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Only the way "a connection each" needs a higher limit. The other ways report the number of connections they held.
	b.server = startServer(t, fmt.Sprintf(`
		ports { https = %s }
		limits { http_max_conns_per_client = 12000 }
		tls { https { cert_file = %q, key_file = %q } }`, port, filepath.Join(dir, "cert"), filepath.Join(dir, "key")))
	config := api.DefaultConfig()
	config.Address = b.Address
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	b.client = client
	t.Cleanup(config.Transport.CloseIdleConnections)
	b.load(t)
	return b
}

// load registers everything in transactions of up to 120 operations.
func (b *bench) load(t *testing.T) {
	began := time.Now()
	var ops api.TxnOps
	flush := func(least int) {
		if len(ops) < least || len(ops) == 0 {
			return
		}
		if ok, said, _, err := b.client.Txn().Txn(ops, nil); err != nil || !ok {
			t.Fatal(said, err)
		}
		ops = nil
	}
	for i := range b.nodes {
		ops = append(ops, &api.TxnOp{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: node(i), Address: "10.0.0.1"}}})
		flush(120)
	}
	for i := range b.services {
		for k := range b.instances {
			service, on := b.instance(i, k)
			ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: on, Service: *service}},
				&api.TxnOp{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: api.HealthCheck{
					Node: on, CheckID: service.ID, ServiceID: service.ID, Name: "alive", Status: "passing", Type: "http",
				}}})
			flush(120)
		}
	}
	flush(1)
	t.Logf("registered %d services with %d instances each in %s", b.services, b.instances, time.Since(began).Round(time.Second))
}

func node(i int) string { return fmt.Sprintf("node-%05d", i) }

func (b *bench) instance(i, k int) (service *api.AgentService, on string) {
	name := fmt.Sprintf("service-%05d", i)
	return &api.AgentService{
		ID: fmt.Sprintf("%s-%d", name, k), Service: name, Port: 8080, Address: fmt.Sprintf("10.%d.%d.%d", k, i/250, i%250),
		Tags: []string{"http", "version=v1"}, Meta: map[string]string{"team": "a-team", "n": "0"},
	}, node((i + k*31) % b.nodes)
}

// change gives the first instance of a service a new meta value and returns the number of the change.
func (b *bench) change(t *testing.T, sink *benchSink, i int) int {
	b.changes++
	service, on := b.instance(i, 0)
	service.Meta["n"] = strconv.Itoa(b.changes)
	sink.expect(b.changes, service.Service)
	_, err := b.client.Catalog().Register(&api.CatalogRegistration{Node: on, SkipNodeUpdate: true, Address: "10.0.0.1", Service: service}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.changes
}

// cpu returns the CPU time used by Consul.
func (b *bench) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.PID()))
	if err != nil {
		return 0 // not Linux
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func selfSigned(t *testing.T) (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}
