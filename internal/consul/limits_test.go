package consul

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// startTLS starts Consul with HTTPS too, and returns the configuration of a client that uses it.
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

// A connection that goes dead is noticed, and what changed meanwhile is told over another one.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	s, secure := startTLS(t, "")
	s.registerLasting()
	plain := &api.Config{Address: s.Address}
	type half struct {
		*play
		link *link
	}
	halves := map[string]half{}
	for name, config := range map[string]*api.Config{"HTTP/1.1": plain, "HTTP/2": secure} {
		l := newLink(t, config.Address)
		config.Address = l.Addr().String()
		p := runReal(t, Options{Config: config, Wait: time.Second})
		for _, endpoint := range []string{"services", "service"} {
			eventually(t, "it is polled", func() bool {
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
		eventually(t, "all is well", func() bool { return metric(t, half.registry, troubleGauge) == 0 })
		half.logged("level=WARN", 1)
		half.logged("query=", 1)
		half.logged("hint=", 1)
	}
}

// Consul answers a connection too many with 429 in HTTP/1.1, whatever the client speaks, and closes it. By chance the
// answer is lost and only the end is seen; a later try shows what it was.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s, secure := startTLS(t, "limits { http_max_conns_per_client = 2 }")
	s.registerLasting()
	// The list and one service have two connections; these are for whom there is none.
	s.register("n8", "more-1", "more-a")
	s.register("n8", "more-2", "more-b")
	for name, config := range map[string]*api.Config{"HTTP/1.1": {Address: s.Address}, "HTTP/2": secure} {
		t.Run(name, func(t *testing.T) {
			p := runReal(t, Options{Config: config, Wait: time.Second})
			p.synced(t)
			eventually(t, "it is seen", func() bool { return metric(t, p.registry, troubleGauge, "reason=limited") > 0 })
			limited := strings.Count(p.log.String(), "reason=limited query=")
			unreachable := strings.Count(p.log.String(), "reason=unreachable query=")
			if limited+unreachable == 0 || limited > 1 || unreachable > 1 {
				t.Errorf("%d lines say that it is limited, %d that it can't be reached:\n%s", limited, unreachable, p.log)
			}
			p.logged("http_max_conns_per_client", limited)
			p.logged("level=WARN", limited+unreachable)
			p.expect(t, "lasting", lasting)
		})
	}
}
