package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// secureName is the name in the provider's certificate.
const secureName = "pay.corp.example.com"

// originations is a configuration with which a sidecar verifies a provider against an authority: that of the provider
// or another one, and for its own name or another one.
const originations = `mesh:
  tlsOrigination:
  - {services: [tls-right], sni: ` + secureName + `, caCertificates: %[1]s}
  - {services: [tls-named], sni: elsewhere.example.com, subjectAltNames: [` + secureName + `], caCertificates: %[1]s}
  - {services: [tls-wrong], sni: ` + secureName + `, caCertificates: %[2]s}
  - {services: [tls-misnamed], sni: ` + secureName + `, subjectAltNames: [other.example.com], caCertificates: %[1]s}
  - {services: [tls-system], sni: ` + secureName + `}
`

// TestTLSOriginationIsVerified verifies that a sidecar with TLS origination reaches a provider only if its certificate
// is from the configured authority and for the configured name.
func TestTLSOriginationIsVerified(t *testing.T) {
	testbed.RequirePod(t, "curl")
	w := &podHarness{harness: newHarness(t)}
	right, wrong := newAuthority(t, "right"), newAuthority(t, "wrong")
	w.startVerifying(t, right, wrong)
	for _, c := range []struct{ service, caller, provider string }{
		{service: "tls-right", caller: "hello " + secureName},
		{service: "tls-named", caller: "hello elsewhere.example.com"},
		{"tls-wrong", refused, "remote error: tls: unknown certificate authority\n"},
		{"tls-misnamed", refused, "remote error: tls: unknown certificate\n"},
		{"tls-system", refused, "remote error: tls: unknown certificate authority\n"},
	} {
		t.Run(c.service, func(t *testing.T) {
			address, log := secureServer(t, right, w.pod.Machines[0])
			i := instance{service: c.service, id: c.service, address: address.IP.String(), port: address.Port, meta: map[string]string{"secure": "true"}}
			w.register(t, i)
			eventually(t, func(ctx context.Context) error {
				err := w.says(ctx, c.caller, "curl", "--silent", "--show-error", "--max-time", "5", "http://"+i.host()+"/")
				if told := log.String(); err == nil && !strings.Contains(told, c.provider) {
					err = fmt.Errorf("the provider did not log %q:\n%s", c.provider, told)
				}
				return err
			})
		})
	}
}

// refused is the response of a sidecar for a provider that it does not trust.
const refused = "upstream connect error"

// startVerifying starts a pod with a sidecar that has the certificates of both authorities, and the servers that it
// needs.
func (w *podHarness) startVerifying(t *testing.T, right, wrong *testbed.Authority) {
	t.Helper()
	var err error
	if w.pod, err = w.run.StartPod(t.Context(), testbed.PodOptions{DNSCapture: true}); err != nil {
		t.Fatal(err)
	}
	rightFile, err := w.pod.AddFile("right.pem", right.PEM)
	if err != nil {
		t.Fatal(err)
	}
	wrongFile, err := w.pod.AddFile("wrong.pem", wrong.PEM)
	if err != nil {
		t.Fatal(err)
	}
	if w.istiod, err = w.run.StartIstiodWith(t.Context(), w.kube, testbed.IstiodOptions{Pod: w.pod}); err != nil {
		t.Fatal(err)
	}
	config := configFile(t, fmt.Sprintf(originations, rightFile, wrongFile))
	if w.isthmus, err = w.run.StartIsthmus(w.consul, w.kube, "--namespace", namespace, "--config", config); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pod.StartSidecar(t.Context(), w.kube, w.istiod); err != nil {
		t.Fatal(err)
	}
}

func newAuthority(t *testing.T, name string) *testbed.Authority {
	t.Helper()
	authority, err := testbed.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// secureServer responds by HTTPS only, with the name that the client asked for, on a machine that a pod reaches. Its
// log has the reasons of closed connections.
func secureServer(t *testing.T, authority *testbed.Authority, machine string) (*net.TCPAddr, *testbed.Log) {
	t.Helper()
	certificate, key, err := authority.Issue(secureName)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(machine, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("hello " + r.TLS.ServerName)) // the caller may have closed the connection
	}))
	_ = server.Listener.Close() // the one on loopback
	server.Listener, server.TLS = listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	told := &testbed.Log{}
	server.Config.ErrorLog = log.New(told, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return listener.Addr().(*net.TCPAddr), told
}
