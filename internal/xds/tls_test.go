package xds

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const (
	istiodID = "spiffe://cluster.local/ns/istio-system/sa/istiod"
	otherID  = "spiffe://cluster.local/ns/default/sa/other"
)

// TestAuthorization verifies that a client may read only if a trusted authority signed its certificate and the certificate
// has a listed identity.
func TestAuthorization(t *testing.T) {
	trusted, other := newAuthority(t), newAuthority(t)
	for name, test := range map[string]struct {
		clients []string
		creds   credentials.TransportCredentials
		want    codes.Code
	}{
		"listed":             {[]string{otherID, istiodID}, clientTLS(t, trusted, trusted, istiodID), codes.OK},
		"not listed":         {[]string{istiodID}, clientTLS(t, trusted, trusted, otherID), codes.PermissionDenied},
		"by address":         {[]string{"127.0.0.1"}, clientTLS(t, trusted, trusted), codes.OK},
		"by DNS name":        {[]string{"localhost"}, clientTLS(t, trusted, trusted), codes.OK},
		"any client":         {[]string{AnyClient}, clientTLS(t, trusted, trusted, otherID), codes.OK},
		"other authority":    {[]string{istiodID, AnyClient}, clientTLS(t, trusted, other, istiodID), codes.Unavailable},
		"no certificate":     {[]string{AnyClient}, clientTLS(t, trusted, nil), codes.Unavailable},
		"plain text":         {[]string{AnyClient}, nil, codes.Unavailable},
		"server not trusted": {[]string{AnyClient}, clientTLS(t, other, trusted, istiodID), codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			files := newFiles(t, trusted, trusted)
			files.Clients = test.clients
			s := serve(t, &fakeState{complete: true}, Options{TLS: files})
			c := tryConnect(t, s.Address(), test.creds)
			if test.want == codes.OK {
				c.await(entryType)
				return
			}
			eventually(t, func() bool { return status.Code(c.failed()) == test.want }, "the client was not rejected")
			if c.resources(entryType) != nil {
				t.Error("the rejected client received resources")
			}
			if test.want == codes.PermissionDenied &&
				(!strings.Contains(s.log.String(), otherID) || testutil.ToFloat64(s.metrics.unauthorized) != 1) {
				t.Errorf("the rejection is not reported:\n%s", s.log)
			}
		})
	}
}

// TestTLSWithoutClientCertificates verifies that any client may read over TLS if there is no client authority.
func TestTLSWithoutClientCertificates(t *testing.T) {
	trusted := newAuthority(t)
	s := serve(t, &fakeState{complete: true}, Options{TLS: newFiles(t, trusted, nil)})
	connect(t, s.Address(), clientTLS(t, trusted, nil), entryType).await(entryType)
}

// TestRotation verifies that new files are used for new connections without a restart, that established connections stay
// open, and that invalid files change nothing and are logged.
func TestRotation(t *testing.T) {
	older, newer := newAuthority(t), newAuthority(t)
	files := newFiles(t, older, older)
	files.Clients = []string{istiodID}
	s := serve(t, &fakeState{complete: true}, Options{TLS: files, reloadInterval: 10 * time.Millisecond})
	established := connect(t, s.Address(), clientTLS(t, older, older, istiodID), entryType)
	established.await(entryType)

	write(t, files.CertFile, []byte("broken"))
	eventually(t, func() bool { return strings.Contains(s.log.String(), "level=ERROR") }, "the invalid files are not logged")
	connect(t, s.Address(), clientTLS(t, older, older, istiodID), entryType).await(entryType)

	rewrite(t, files, newer, newer)
	eventually(t, func() bool {
		c := tryConnect(t, s.Address(), clientTLS(t, newer, newer, istiodID))
		eventually(t, func() bool { return c.failed() != nil || c.resources(entryType) != nil }, "the client got neither a response nor an error")
		return c.failed() == nil
	}, "the new files are not used")
	old := tryConnect(t, s.Address(), clientTLS(t, newer, older, istiodID))
	eventually(t, func() bool { return old.failed() != nil }, "the previous authority is still trusted")
	s.change("a", webEntry("a", "10.0.0.1"))
	established.await(entryType, "ns/a.consul")
}

// TestInvalidFiles verifies that invalid files are reported at the start, with the name of the file.
func TestInvalidFiles(t *testing.T) {
	trusted := newAuthority(t)
	for name, test := range map[string]struct {
		spoil func(*TLS)
		want  string
	}{
		"no file":     {func(f *TLS) { f.CertFile += "x" }, "certx: no such file"},
		"no PEM":      {func(f *TLS) { write(t, f.KeyFile, []byte("x")) }, "certFile and keyFile"},
		"no CA":       {func(f *TLS) { write(t, f.ClientCAFile, []byte("x")) }, "clientCAFile contains no PEM certificate"},
		"empty CA":    {func(f *TLS) { write(t, f.ClientCAFile, nil) }, "ca is empty"},
		"another key": {func(f *TLS) { f.KeyFile = newFiles(t, trusted, nil).KeyFile }, "private key does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			files := newFiles(t, trusted, trusted)
			test.spoil(files)
			if _, err := New(Options{Address: "127.0.0.1:0", TLS: files}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// tryConnect requests ServiceEntries. The failed method returns the error.
func tryConnect(t *testing.T, address string, creds credentials.TransportCredentials) *client {
	t.Helper()
	c := &client{t: t}
	var err error
	if c.stream, err = open(t, address, creds); err != nil {
		c.failure = err
		return c
	}
	c.receive()
	c.request(entryType)
	return c
}

func newAuthority(t *testing.T) *testbed.Authority {
	t.Helper()
	a, err := testbed.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newFiles creates the files of a server. One authority signs the certificate of the server, and one those of its clients;
// nil means that clients have no certificates.
func newFiles(t *testing.T, server, clients *testbed.Authority) *TLS {
	t.Helper()
	dir := t.TempDir()
	files := &TLS{CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	if clients != nil {
		files.ClientCAFile = filepath.Join(dir, "ca")
	}
	rewrite(t, files, server, clients)
	return files
}

func rewrite(t *testing.T, files *TLS, server, clients *testbed.Authority) {
	t.Helper()
	cert, key, err := server.Issue()
	if err != nil {
		t.Fatal(err)
	}
	write(t, files.CertFile, cert)
	write(t, files.KeyFile, key)
	if clients != nil {
		write(t, files.ClientCAFile, clients.PEM)
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// clientTLS returns the credentials of a client that trusts one authority and has a certificate of another one; nil means no
// certificate.
func clientTLS(t *testing.T, trusts, signed *testbed.Authority, identities ...string) credentials.TransportCredentials {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(trusts.PEM)
	if signed != nil {
		cert, key, err := signed.Issue(identities...)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config)
}
