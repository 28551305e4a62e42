package consul

import (
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestCheckTarget verifies the ports of checks as agents write them (agent/checks/check.go).
func TestCheckTarget(t *testing.T) {
	for output, want := range map[string]catalog.Check{
		"HTTP GET http://10.0.0.1:8080/health: 200 OK Output: http://evil:1/":                  {Type: "http", Port: 8080},
		"HTTP HEAD https://10.0.0.1/health: 200 OK Output: ":                                   {Type: "http", Port: 443, TLS: true},
		"HTTP POST http://web.example/: 500 Internal Server Error Output: {}":                  {Type: "http", Port: 80},
		"HTTP GET http://[2001:db8::1]:8080/: 200 OK Output: x":                                {Type: "http", Port: 8080},
		`Get "https://10.0.0.1:8443/health": context deadline exceeded`:                        {Type: "http", Port: 8443, TLS: true},
		`Head "http://10.0.0.1:8080/": dial tcp 10.0.0.1:8080: connect: connection refused`:    {Type: "http", Port: 8080},
		"Get http://10.0.0.1:8080/health: dial tcp 10.0.0.1:8080: connect: connection refused": {Type: "http", Port: 8080},
		"TCP connect 10.0.0.1:5432: Success":                                                   {Type: "tcp", Port: 5432},
		"TCP connect [::1]:5432: Success":                                                      {Type: "tcp", Port: 5432},
		"TCP+TLS connect db.example:5432: Success":                                             {Type: "tcp", Port: 5432, TLS: true},
		"dial tcp 10.0.0.1:5432: connect: connection refused":                                  {Type: "tcp", Port: 5432},
		"dial tcp: lookup db on 10.0.0.2:53: no such host":                                     {},
		"dial tcp [fd00::1]:5432: i/o timeout":                                                 {Type: "tcp", Port: 5432},
		"gRPC check 10.0.0.1:9090/orders: success":                                             {Type: "grpc", Port: 9090},
		"gRPC check 10.0.0.1:9090: success":                                                    {Type: "grpc", Port: 9090},
		"UDP connect 10.0.0.1:53: Success":                                                     {Type: "udp", Port: 53},
		"Failed to dial to 10.0.0.1:9090: dial tcp 10.0.0.1:9090: connect: connection refused": {Type: "h2ping", Port: 9090},
		"HTTP2 ping was successful":                                                            {},
		"HTTP GET":                                                                             {},
		"HTTP":                                                                                 {},
		`Get "`:                                                                                {},
		"":                                                                                     {},
		"TCP connect ":                                                                         {Type: "tcp"},
		"TCP connect 10.0.0.1:99999: Success":                                                  {Type: "tcp"},
		"HTTP GET ftp://10.0.0.1:21/: 200 OK":                                                  {},
		"{\"status\": \"UP\"}":                                                                 {},
		"Vault Unsealed":                                                                       {},
		"See http://10.0.0.1:8080/health":                                                      {},
	} {
		if got := checkOf(&api.HealthCheck{Output: output}); got != want {
			t.Errorf("%q: got %+v, want %+v", output, got, want)
		}
	}
	for _, test := range []struct {
		check api.HealthCheck
		want  catalog.Check
	}{
		{api.HealthCheck{Type: "HTTP", Definition: api.HealthCheckDefinition{HTTP: "https://web:9443/x"}}, catalog.Check{Type: "http", Port: 9443, TLS: true}},
		{api.HealthCheck{Type: "grpc", Definition: api.HealthCheckDefinition{GRPC: "web:9090/x", GRPCUseTLS: true}}, catalog.Check{Type: "grpc", Port: 9090, TLS: true}},
		{api.HealthCheck{Type: "tcp", Definition: api.HealthCheckDefinition{TCP: "web:22"}}, catalog.Check{Type: "tcp", Port: 22}},
		{api.HealthCheck{Type: "udp", Definition: api.HealthCheckDefinition{UDP: "web:53"}}, catalog.Check{Type: "udp", Port: 53}},
		{api.HealthCheck{Type: "ttl", Output: "fine"}, catalog.Check{Type: "ttl"}},
	} {
		if got := checkOf(&test.check); got != test.want {
			t.Errorf("%+v: got %+v, want %+v", test.check, got, test.want)
		}
	}
}
