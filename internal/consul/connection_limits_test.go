package consul

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// startTLS starts Consul with HTTPS and returns the configuration of an HTTPS client.
func startTLS(t *testing.T, hcl string) (*server, *api.Config) {
	t.Helper()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, "Consul")
	cert, key := a.leaf()
	files := newMounted(t, map[string]string{"ca.pem": a.pem, "cert.pem": cert, "key.pem": key})
	s := startServerIn(t, run, hcl+fmt.Sprintf(`
		ports { https = %d }
		tls { https { cert_file = %q, key_file = %q } }`, port, files.path("cert.pem"), files.path("key.pem")))
	return s, &api.Config{
		Address: fmt.Sprintf("127.0.0.1:%d", port), Scheme: "https", TLSConfig: api.TLSConfig{CAFile: files.path("ca.pem")},
	}
}

// TestDeadConnections verifies that the source notices a dead connection and reads the missed changes over a new one.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	s, secure := startTLS(t, "")
	s.registerLasting()
	plain := &api.Config{Address: s.Address}
	type half struct {
		*harness
		link *link
	}
	halves := map[string]half{}
	for name, config := range map[string]*api.Config{"HTTP/1.1": plain, "HTTP/2": secure} {
		l := newLink(t, config.Address)
		config.Address = l.Addr().String()
		p := runReal(t, Options{Config: config, Wait: time.Second})
		for _, endpoint := range []string{"services", "service"} {
			eventually(t, "the service is polled", func() bool {
				return metric(t, p.registry, "isthmus_consul_requests_total", "endpoint="+endpoint, "result=unchanged") > 0
			})
		}
		halves[name] = half{p, l}
	}
	for _, half := range halves {
		half.link.die()
	}
	s.register("n4", "lasting-4", "lasting")
	for name, half := range halves {
		t.Log(name)
		half.expect(t, "lasting", lasting, lasting+" n4/lasting-4")
		eventually(t, "all queries work again", func() bool { return metric(t, half.registry, failingGauge) == 0 })
		half.logged("level=WARN", 1)
		half.logged("query=", 1)
		half.logged("hint=", 1)
	}
}

// TestTooManyConnections exceeds the connection limit. Consul answers each further connection with status 429 in HTTP/1.1,
// for clients of every protocol, and closes it. Sometimes the client sees only the end of the connection and not the
// answer. A later try shows the reason.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s, secure := startTLS(t, "limits { http_max_conns_per_client = 2 }")
	s.registerLasting()
	// The list and one service use the two connections. No connection is left for these services.
	s.register("n8", "more-1", "more-a")
	s.register("n8", "more-2", "more-b")
	for name, config := range map[string]*api.Config{"HTTP/1.1": {Address: s.Address}, "HTTP/2": secure} {
		t.Run(name, func(t *testing.T) {
			p := runReal(t, Options{Config: config, Wait: time.Second})
			p.synced(t)
			eventually(t, "the limit is reported", func() bool { return metric(t, p.registry, failingGauge, "reason=limited") > 0 })
			limited := strings.Count(p.log.String(), "reason=limited query=")
			unreachable := strings.Count(p.log.String(), "reason=unreachable query=")
			if limited+unreachable == 0 || limited > 1 || unreachable > 1 {
				t.Errorf("got %d lines with reason=limited and %d with reason=unreachable:\n%s", limited, unreachable, p.log)
			}
			p.logged("http_max_conns_per_client", limited)
			p.logged("level=WARN", limited+unreachable)
			p.expect(t, "lasting", lasting)
		})
	}
}
