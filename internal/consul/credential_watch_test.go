package consul

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// soon is the interval at which tests check files.
const soon = 10 * time.Millisecond

// watchFile runs a source that takes its token from a file, and waits for the complete state.
func (s *server) watchFile(t *testing.T, file string) *harness {
	t.Helper()
	p := runReal(t, Options{Config: &api.Config{Address: s.Address, TokenFile: file}, Wait: time.Second, pollFiles: soon})
	p.synced(t)
	return p
}

func (p *harness) synced(t *testing.T) {
	t.Helper()
	eventually(t, "the complete state", func() bool {
		return slices.ContainsFunc(p.sink.all(), func(told string) bool { return strings.HasPrefix(told, "synced test") })
	})
}

// shows waits until the log contains the text.
func (p *harness) shows(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the log says "+text, func() bool { return strings.Contains(p.log.String(), text) })
}

// testRotatedToken verifies that a token that is replaced and then deleted causes no failure.
func (s *server) testRotatedToken(t *testing.T) {
	first, secret, _ := s.token(t, "first", readAll)
	second, nextSecret, _ := s.token(t, "second", readAll)
	m := newMounted(t, map[string]string{"token": secret})
	p := s.watchFile(t, m.path("token"))
	p.shows(t, "accessor="+first)
	before := p.sink.all()
	m.swap(map[string]string{"token": nextSecret})
	p.shows(t, "accessor="+second)
	if _, err := s.api.ACL().TokenDelete(first, nil); err != nil {
		t.Fatal(err)
	}
	s.register("n1", "web-2", "web")
	p.expect(t, "web", "n1/web-1", "n1/web-1 n1/web-2")
	if got := len(p.sink.all()); got != len(before)+1 {
		t.Errorf("got the updates %q", p.sink.all())
	}
	p.logged("level=WARN", 0)
	p.logged("credentials reloaded", 1)
	s.deregister("n1", "web-2")
	for _, token := range []string{secret, nextSecret} {
		p.logged(token, 0)
	}
}

// testRotationToAnUnknownToken rotates to an unknown token. The streaming backend answers it with an empty body until it
// has looked up the token.
func (s *server) testRotationToAnUnknownToken(t *testing.T) {
	_, secret, _ := s.token(t, "replaced", readAll)
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, secret)
	p := s.watchFile(t, file)
	before := p.sink.all()
	write(t, file, "00000000-0000-4000-8000-00000000000c")
	p.awaitFailure(t, "denied", before)
	eventually(t, "all queries are refused", func() bool { return metric(t, p.registry, failingGauge) == 3 })
	if s.streaming {
		p.trapped(t, "index_uninitialized")
	}
	write(t, file, secret)
	eventually(t, "all queries work again", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	if after := p.sink.all(); !slices.Equal(before, after) {
		t.Errorf("got the updates %q after %q", after, before)
	}
	p.logged(began, 1)
}

func (s *server) testBrokenTokenFile(t *testing.T) {
	_, secret, _ := s.token(t, "kept", readAll)
	m := newMounted(t, map[string]string{"token": secret})
	p := s.watchFile(t, m.path("token"))
	before := p.sink.all()
	m.swap(map[string]string{"token": ""})
	p.awaitFailure(t, "credentials_unreadable", before)
	s.register("n1", "web-2", "web") // the old token stays in use
	p.expect(t, "web", "n1/web-1", "n1/web-1 n1/web-2")
	s.deregister("n1", "web-2")
	p.expect(t, "web", "n1/web-1", "n1/web-1 n1/web-2", "n1/web-1")
	m.swap(map[string]string{"token": secret})
	eventually(t, "all queries work again", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	p.logged(began, 1)
	p.logged(secret, 0)
}

// TestRotatedTLS gives Consul the certificate of another authority. Consul then requires client certificates of that
// authority.
func TestRotatedTLS(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	older, newer := newAuthority(t, "older"), newAuthority(t, "newer")
	material := func(a *authority) map[string]string {
		cert, key := a.leaf()
		return map[string]string{"ca.pem": a.pem, "cert.pem": cert, "key.pem": key}
	}
	ours, theirs := newMounted(t, material(older)), newMounted(t, material(older))
	run := testbed.ForTest(t)
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := startServerIn(t, run, fmt.Sprintf(`
		ports { https = %d }
		tls { https { ca_file = %q, cert_file = %q, key_file = %q, verify_incoming = true } }`,
		port, theirs.path("ca.pem"), theirs.path("cert.pem"), theirs.path("key.pem")))
	s.register("n1", "web-1", "web")
	p := runReal(t, Options{pollFiles: soon, Config: &api.Config{
		Address: fmt.Sprintf("https://127.0.0.1:%d", port), TLSConfig: api.TLSConfig{
			CAFile: ours.path("ca.pem"), CertFile: ours.path("cert.pem"), KeyFile: ours.path("key.pem"),
		},
	}})
	p.synced(t)
	files := material(newer)
	broken := map[string]string{"ca.pem": files["ca.pem"], "cert.pem": files["cert.pem"], "key.pem": "no key"}
	ours.swap(broken)
	p.shows(t, "reason=credentials_unreadable")
	ours.swap(files)
	p.shows(t, `msg="credentials reloaded" source=test file="TLS files"`)
	theirs.swap(material(newer))
	s.Kill() // existing connections would hide the change
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.register("n2", "web-2", "web")
	p.expect(t, "web", "n1/web-1", "n1/web-1 n2/web-2")
	eventually(t, "all queries work again", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	p.logged("reason=credentials_unreadable", 2)
}

// TestHeldQueriesMoveToNewConnections verifies that new TLS files cause new connections, and that the held queries move
// to them.
func TestHeldQueriesMoveToNewConnections(t *testing.T) {
	a := newAuthority(t, "older")
	cert, key := a.leaf()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	ours := newMounted(t, map[string]string{"cert.pem": cert, "key.pem": key})
	h := newHolder(t, 150)
	h.EnableHTTP2 = true
	h.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	var serial, shown atomic.Value
	h.TLS.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		client, err := x509.ParseCertificate(raw[0])
		if err == nil {
			shown.Store(client.SerialNumber.String())
		}
		return err
	}
	h.StartTLS()
	runReal(t, Options{pollFiles: soon, Config: &api.Config{Address: h.URL, TLSConfig: api.TLSConfig{
		CAPem: []byte(a.pem), CertFile: ours.path("cert.pem"), KeyFile: ours.path("key.pem"),
	}}})
	all := func() bool { _, _, held, _ := h.state(); return held == 151 }
	eventually(t, "everything is polled", all)
	serial.Store(shown.Load())
	_, before, _, _ := h.state()
	cert, key = a.leaf()
	ours.swap(map[string]string{"cert.pem": cert, "key.pem": key})
	eventually(t, "everything is polled again over other connections", func() bool {
		_, made, _, _ := h.state()
		return made >= 2*before-1 && shown.Load() != serial.Load() && all()
	})
	eventually(t, "the old connections are closed", func() bool {
		conns, _, _, _ := h.state()
		return conns <= before
	})
}
