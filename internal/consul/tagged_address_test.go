package consul

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestURLPorts verifies which tagged addresses are named ports.
func TestURLPorts(t *testing.T) {
	for name, test := range map[string]struct {
		address string
		port    int
		want    *catalog.Port
	}{
		"grpc":                    {"grpc://10.0.0.1:9000?isSecure=false", 9000, &catalog.Port{Number: 9000, Protocol: "grpc"}},
		"grpc with TLS":           {"grpc://10.0.0.1:9000?isSecure=true", 9000, &catalog.Port{Number: 9000, Protocol: "grpcs"}},
		"http with TLS":           {"HTTP://10.0.0.1:8000/path?issecure=True", 0, &catalog.Port{Number: 8000, Protocol: "https"}},
		"any scheme with TLS":     {"dubbo://10.0.0.1:20880?tls=true", 0, &catalog.Port{Number: 20880, Protocol: "tls"}},
		"TLS by its scheme":       {"wss://10.0.0.1?secure=1", 0, &catalog.Port{Number: 443, Protocol: "wss"}},
		"tcp":                     {"tcp://10.0.0.1:20880", 0, &catalog.Port{Number: 20880, Protocol: "tcp"}},
		"the port beside the URL": {"h2c://10.0.0.1", 8080, &catalog.Port{Number: 8080, Protocol: "h2c"}},
		"the port of the scheme":  {"http://10.0.0.1", 0, &catalog.Port{Number: 80, Protocol: "http"}},
		"no port":                 {"grpc://10.0.0.1", 0, &catalog.Port{Protocol: "grpc"}},
		"a port out of range":     {"http://10.0.0.1:70000", 0, &catalog.Port{Protocol: "http"}},
		"another notation":        {"http://[::ffff:10.0.0.1]:80", 0, &catalog.Port{Number: 80, Protocol: "http"}},
		"another host":            {"http://10.0.0.2:80", 0, &catalog.Port{Number: 80, Protocol: "http", Address: "10.0.0.2"}},
		"a name":                  {"http://localhost:80", 0, &catalog.Port{Number: 80, Protocol: "http", Address: "localhost"}},
		"an address":              {"10.0.0.1", 80, nil},
		"an IPv6 address":         {"2001:db8::1", 80, nil},
		"a host and port":         {"10.0.0.1:80", 80, nil},
		"no host":                 {"unix:///run/x.sock", 0, nil},
		"broken":                  {"http://10.0.0.1:80:80", 0, nil},
		"empty":                   {"", 80, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var want []catalog.Port
			if test.want != nil {
				test.want.Name = "key"
				want = []catalog.Port{*test.want}
			}
			got := urlPorts(map[string]api.ServiceAddress{"key": {Address: test.address, Port: test.port}}, "10.0.0.1")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
