package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// server is an instance that answers every HTTP request with the same text.
type server struct {
	address string
	port    int
}

func newServer(t *testing.T, answer string) server {
	t.Helper()
	return newServerAt(t, answer, "127.0.0.1:0")
}

func newServerAt(t *testing.T, answer, at string) server {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(answer)) // the caller may have closed the connection
	}))
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	address := listener.Addr().(*net.TCPAddr)
	return server{address: address.IP.String(), port: address.Port}
}

// foreignEntry returns a ServiceEntry that isthmus does not own.
func foreignEntry(name string) *networkingv1.ServiceEntry {
	return &networkingv1.ServiceEntry{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": "payments"}},
		Spec: networking.ServiceEntry{
			Hosts: []string{"payments.example.com"}, Resolution: networking.ServiceEntry_DNS,
			Ports: []*networking.ServicePort{{Number: 443, Name: "tls", Protocol: "TLS"}},
		},
	}
}
