package consul

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// An authority issues certificates.
type authority struct {
	t *testing.T
	*testbed.Authority
	// pem is its certificate.
	pem string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a, err := testbed.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, Authority: a, pem: string(a.PEM)}
}

// leaf returns a certificate and its key for the loopback address, for servers and clients.
func (a *authority) leaf() (cert, key string) {
	a.t.Helper()
	certificate, private, err := a.Issue()
	if err != nil {
		a.t.Fatal(err)
	}
	return string(certificate), string(private)
}
