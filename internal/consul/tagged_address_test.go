package consul

import (
	"fmt"
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

// TestAddressTag verifies which address and port an instance has for an address tag.
func TestAddressTag(t *testing.T) {
	const node = `"Node": {"Node": "n", "Address": "10.0.0.1", "TaggedAddresses": {"lan": "10.0.0.1", "wan": "198.51.100.1", "url": "http://10.0.0.1"}}`
	for name, test := range map[string]struct{ tag, service, want string }{
		"none":                     {"", `"Port": 80, "TaggedAddresses": {"wan": {"Address": "198.51.100.2", "Port": 8080}}`, "10.0.0.1:80"},
		"the service's":            {"wan", `"Port": 80, "TaggedAddresses": {"wan": {"Address": "198.51.100.2", "Port": 8080}}`, "198.51.100.2:8080"},
		"the service's, by name":   {"wan", `"Port": 80, "Address": "10.0.0.9", "TaggedAddresses": {"wan": {"Address": "a.example.com"}}`, "a.example.com:80"},
		"the node's":               {"wan", `"Port": 80`, "198.51.100.1:80"},
		"the node's, same address": {"wan", `"Port": 80, "Address": "10.0.0.1"`, "198.51.100.1:80"},
		"not the node's":           {"wan", `"Port": 80, "Address": "10.0.0.9"`, "10.0.0.9:80"},
		"unknown":                  {"lan_ipv6", `"Port": 80, "Address": "10.0.0.9"`, "10.0.0.9:80"},
		"the service's is a URL":   {"grpc", `"Port": 80, "TaggedAddresses": {"grpc": {"Address": "grpc://10.0.0.1:81", "Port": 81}}`, "10.0.0.1:80"},
		"the node's is a URL":      {"url", `"Port": 80`, "10.0.0.1:80"},
		"the service's is empty":   {"wan", `"Port": 80, "TaggedAddresses": {"wan": {"Address": "", "Port": 8080}}`, "198.51.100.1:80"},
		"IPv6":                     {"lan_ipv6", `"Port": 80, "TaggedAddresses": {"lan_ipv6": {"Address": "2001:db8::1", "Port": 80}}`, "2001:db8::1:80"},
	} {
		t.Run(name, func(t *testing.T) {
			entry := "[{" + node + `, "Service": {"ID": "web", "Service": "web", ` + test.service + `},
				"Checks": [{"ServiceID": "web", "Type": "http", "Status": "passing", "Output": "HTTP GET http://10.0.0.1:80/: 200 OK"}]}]`
			got := convert(webKey, "dc1", decode(t, entry), test.tag).Instances[0]
			if text := fmt.Sprintf("%s:%d", got.Address, got.Port); text != test.want {
				t.Errorf("%s, want %s", text, test.want)
			}
			if got.Checks[0].Port != got.Port {
				t.Errorf("the check of port 80 tests port %d, the port is %d", got.Checks[0].Port, got.Port)
			}
		})
	}
}

// TestVirtualAddresses verifies that the virtual addresses of Consul and of other platforms are reported.
func TestVirtualAddresses(t *testing.T) {
	got := convert(webKey, "dc1", decode(t, `[{"Node": {"Node": "n"}, "Service": {"ID": "web", "Service": "web", "Port": 80, "TaggedAddresses":
		{"consul-virtual": {"Address": "244.0.0.7", "Port": 80}, "virtual": {"Address": "10.96.14.3"}, "lan": {"Address": "10.0.0.1"}}}}]`), "").Instances[0].Virtual
	if diff := cmp.Diff([]string{"244.0.0.7", "10.96.14.3"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
