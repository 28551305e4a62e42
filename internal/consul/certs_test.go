package consul

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// authority is a certificate authority.
type authority struct {
	t *testing.T
	*testbed.Authority
	// pem is the certificate of the authority.
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

// leaf returns a certificate and its key for the loopback address. Servers and clients use it.
func (a *authority) leaf() (cert, key string) {
	a.t.Helper()
	certificate, private, err := a.Issue()
	if err != nil {
		a.t.Fatal(err)
	}
	return string(certificate), string(private)
}
