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

// TestClients holds who may read: those whose certificate an authority signed that is trusted and that have an identity
// which is named, and nobody else.
func TestClients(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for name, test := range map[string]struct {
		clients []string
		creds   credentials.TransportCredentials
		want    codes.Code
	}{
		"named":              {[]string{otherID, istiodID}, clientTLS(t, ours, ours, istiodID), codes.OK},
		"not named":          {[]string{istiodID}, clientTLS(t, ours, ours, otherID), codes.PermissionDenied},
		"by address":         {[]string{"127.0.0.1"}, clientTLS(t, ours, ours), codes.OK},
		"by DNS name":        {[]string{"localhost"}, clientTLS(t, ours, ours), codes.OK},
		"anyone":             {[]string{Anyone}, clientTLS(t, ours, ours, otherID), codes.OK},
		"of another CA":      {[]string{istiodID, Anyone}, clientTLS(t, ours, theirs, istiodID), codes.Unavailable},
		"no certificate":     {[]string{Anyone}, clientTLS(t, ours, nil), codes.Unavailable},
		"plain text":         {[]string{Anyone}, nil, codes.Unavailable},
		"server not trusted": {[]string{Anyone}, clientTLS(t, theirs, ours, istiodID), codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			files := newFiles(t, ours, ours)
			files.Clients = test.clients
			s := serve(t, &script{complete: true}, Options{TLS: files})
			c := tryConnect(t, s.Address(), test.creds)
			if test.want == codes.OK {
				c.await(entryType)
				return
			}
			eventually(t, func() bool { return status.Code(c.failed()) == test.want }, "it was not refused")
			if c.holds(entryType) != nil {
				t.Error("it was told something")
			}
			if test.want == codes.PermissionDenied &&
				(!strings.Contains(s.log.String(), otherID) || testutil.ToFloat64(s.metrics.refusals) != 1) {
				t.Errorf("the refusal isn't reported:\n%s", s.log)
			}
		})
	}
}

// TestServerTLSAlone holds that without a client authority any client may read, over TLS.
func TestServerTLSAlone(t *testing.T) {
	ours := newAuthority(t)
	s := serve(t, &script{complete: true}, Options{TLS: newFiles(t, ours, nil)})
	connect(t, s.Address(), clientTLS(t, ours, nil), entryType).await(entryType)
}

// TestRotation holds that new files are used for new connections without a restart, that connections which stand stay,
// and that broken files change nothing and are told of.
func TestRotation(t *testing.T) {
	older, newer := newAuthority(t), newAuthority(t)
	files := newFiles(t, older, older)
	files.Clients = []string{istiodID}
	s := serve(t, &script{complete: true}, Options{TLS: files, reread: 10 * time.Millisecond})
	stays := connect(t, s.Address(), clientTLS(t, older, older, istiodID), entryType)
	stays.await(entryType)

	write(t, files.CertFile, []byte("broken"))
	eventually(t, func() bool { return strings.Contains(s.log.String(), "can't be used") }, "the log doesn't say it")
	connect(t, s.Address(), clientTLS(t, older, older, istiodID), entryType).await(entryType)

	rewrite(t, files, newer, newer)
	eventually(t, func() bool {
		c := tryConnect(t, s.Address(), clientTLS(t, newer, newer, istiodID))
		eventually(t, func() bool { return c.failed() != nil || c.holds(entryType) != nil }, "it hangs")
		return c.failed() == nil
	}, "the new files are not used")
	old := tryConnect(t, s.Address(), clientTLS(t, newer, older, istiodID))
	eventually(t, func() bool { return old.failed() != nil }, "the old authority is trusted still")
	s.change("a", webEntry("a", "10.0.0.1"))
	stays.await(entryType, "ns/a.consul")
}

// TestBadFiles holds that what is wrong with the files shows at the start, and names the file.
func TestBadFiles(t *testing.T) {
	ours := newAuthority(t)
	for name, test := range map[string]struct {
		spoil func(*TLS)
		want  string
	}{
		"no file":     {func(f *TLS) { f.CertFile += "x" }, "certx: no such file"},
		"no PEM":      {func(f *TLS) { write(t, f.KeyFile, []byte("x")) }, "certFile and keyFile"},
		"no CA":       {func(f *TLS) { write(t, f.ClientCAFile, []byte("x")) }, "clientCAFile holds no certificate"},
		"empty CA":    {func(f *TLS) { write(t, f.ClientCAFile, nil) }, "ca is empty"},
		"another key": {func(f *TLS) { f.KeyFile = newFiles(t, ours, nil).KeyFile }, "private key does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			files := newFiles(t, ours, ours)
			test.spoil(files)
			if _, err := New(Options{Address: "127.0.0.1:0", TLS: files}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, expected %q", err, test.want)
			}
		})
	}
}

// tryConnect asks for ServiceEntries; how that goes, failed tells.
func tryConnect(t *testing.T, address string, creds credentials.TransportCredentials) *client {
	t.Helper()
	c := &client{t: t}
	var err error
	if c.stream, err = open(t, address, creds); err != nil {
		c.failure = err
		return c
	}
	c.receive()
	c.ask(entryType)
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

// newFiles makes the files of a server whose certificate one authority signs, and its clients' another; nil for none.
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

// clientTLS is a client that trusts one authority and has a certificate of another; nil for none.
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
