package mesh_test

import (
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// own is a check of the port 8080.
func own(kind string, secure bool) []catalog.Check {
	return []catalog.Check{{Type: kind, Port: 8080, TLS: secure}}
}

// TestProtocolEvidence verifies each rule for the protocol of an instance's own port.
func TestProtocolEvidence(t *testing.T) {
	type meta = map[string]string
	for name, test := range map[string]struct {
		service  string
		instance catalog.Instance
		want     string
		reasons  string
	}{
		"nothing":                           {want: "HTTP"},
		"meta protocol":                     {instance: catalog.Instance{Meta: meta{"protocol": "grpc"}, Checks: own("http", false)}, want: "GRPC"},
		"any case":                          {instance: catalog.Instance{Meta: meta{"Protocol": "gRPC"}}, want: "GRPC"},
		"the exact key first":               {instance: catalog.Instance{Meta: meta{"Protocol": "tcp", "protocol": "grpc"}}, want: "GRPC"},
		"tag protocol":                      {instance: catalog.Instance{Tags: []string{"protocol=grpc"}}, want: "GRPC"},
		"tag protocol with a bar":           {instance: catalog.Instance{Tags: []string{"Protocol|H2C"}}, want: "HTTP2"},
		"meta before tags":                  {instance: catalog.Instance{Meta: meta{"protocol": "http2"}, Tags: []string{"protocol=grpc"}}, want: "HTTP2"},
		"an empty meta":                     {instance: catalog.Instance{Meta: meta{"protocol": ""}, Tags: []string{"protocol=grpc"}}, want: "GRPC"},
		"an alias":                          {instance: catalog.Instance{Meta: meta{"protocol": "HTTP/1.1"}}, want: "HTTP"},
		"a protocol on TCP":                 {instance: catalog.Instance{Meta: meta{"protocol": "Postgres"}}, want: "TCP"},
		"amqp":                              {instance: catalog.Instance{Meta: meta{"protocol": "amqp"}}, want: "TCP"},
		"zookeeper":                         {instance: catalog.Instance{Meta: meta{"protocol": "zookeeper"}}, want: "TCP"},
		"an unknown protocol":               {instance: catalog.Instance{Meta: meta{"protocol": "x"}, Checks: own("grpc", false)}, want: "GRPC", reasons: "unknown_protocol"},
		"secure":                            {instance: catalog.Instance{Meta: meta{"secure": "TRUE"}}, want: "HTTPS"},
		"a secure tag":                      {instance: catalog.Instance{Tags: []string{"secure=true"}}, want: "HTTPS"},
		"scheme":                            {instance: catalog.Instance{Meta: meta{"Scheme": "https"}}, want: "HTTPS"},
		"a scheme tag":                      {instance: catalog.Instance{Tags: []string{"scheme=grpc"}}, want: "GRPC"},
		"kind":                              {instance: catalog.Instance{Meta: meta{"kind": "grpc"}, Checks: own("tcp", false)}, want: "GRPC"},
		"another kind":                      {instance: catalog.Instance{Meta: meta{"kind": "backend"}}, want: "HTTP"},
		"meta grpc":                         {instance: catalog.Instance{Meta: meta{"gRPC": "true"}}, want: "GRPC"},
		"meta grpc with the port":           {instance: catalog.Instance{Meta: meta{"grpc": "8080"}}, want: "GRPC"},
		"meta grpc with another port":       {instance: catalog.Instance{Meta: meta{"grpc": "9090"}}, want: "HTTP"},
		"a bare tag":                        {instance: catalog.Instance{Tags: []string{"blue", "gRPC"}}, want: "GRPC"},
		"several bare tags":                 {instance: catalog.Instance{Tags: []string{"http", "grpc"}, Checks: own("tcp", false)}, want: "TCP"},
		"a tag of an application":           {instance: catalog.Instance{Tags: []string{"redis"}}, want: "HTTP"},
		"fabio":                             {instance: catalog.Instance{Tags: []string{"urlprefix-/x strip=/x proto=https tlsskipverify=true"}}, want: "HTTPS"},
		"fabio and TCP":                     {instance: catalog.Instance{Tags: []string{"urlprefix-:1234 proto=tcp"}}, want: "TCP"},
		"fabio without a protocol":          {instance: catalog.Instance{Tags: []string{"urlprefix-/x"}}, want: "HTTP"},
		"Traefik":                           {instance: catalog.Instance{Tags: []string{"traefik.http.services.x.loadBalancer.server.scheme=https"}}, want: "HTTPS"},
		"Traefik and h2c":                   {instance: catalog.Instance{Tags: []string{"traefik.http.services.x.loadbalancer.server.scheme=h2c", "traefik.http.services.x.loadbalancer.server.port=8080"}}, want: "HTTP2"},
		"Traefik and another port":          {instance: catalog.Instance{Tags: []string{"traefik.http.services.x.loadbalancer.server.scheme=https", "traefik.http.services.x.loadbalancer.server.port=9090"}}, want: "HTTP"},
		"Traefik 1":                         {instance: catalog.Instance{Tags: []string{"traefik.protocol=https"}}, want: "HTTPS"},
		"a URL":                             {instance: catalog.Instance{Meta: meta{"url": "dubbo://10.0.0.1:8080/x?y=z"}}, want: "TCP"},
		"a URL of another port":             {instance: catalog.Instance{Meta: meta{"url": "dubbo://10.0.0.1:9090/x"}}, want: "HTTP"},
		"the default port's name":           {instance: catalog.Instance{Ports: []catalog.Port{{Name: "grpc-api", Number: 8080, Default: true}}}, want: "GRPC"},
		"service-defaults":                  {instance: catalog.Instance{ServiceProtocol: "grpc", Checks: own("http", false)}, want: "GRPC"},
		"service-defaults of TCP":           {instance: catalog.Instance{ServiceProtocol: "tcp", Checks: own("http", true)}, want: "TCP"},
		"service-defaults and a port":       {instance: catalog.Instance{ServiceProtocol: "HTTP", Port: 5432}, want: "HTTP"},
		"service-defaults and meta":         {instance: catalog.Instance{ServiceProtocol: "http", Meta: meta{"protocol": "grpc"}}, want: "GRPC"},
		"service-defaults and a tag":        {instance: catalog.Instance{ServiceProtocol: "http", Tags: []string{"h2c"}}, want: "HTTP2"},
		"service-defaults and a TLS check":  {instance: catalog.Instance{ServiceProtocol: "http", Checks: own("http", true)}, want: "HTTP", reasons: "contradictory_protocol"},
		"unknown service-defaults":          {instance: catalog.Instance{ServiceProtocol: "x", Checks: own("grpc", false)}, want: "GRPC", reasons: "unknown_protocol"},
		"a gRPC check":                      {instance: catalog.Instance{Checks: append(own("http", false), own("grpc", false)...)}, want: "GRPC"},
		"an HTTP/2 ping":                    {instance: catalog.Instance{Checks: own("h2ping", false)}, want: "HTTP2"},
		"an HTTPS check":                    {instance: catalog.Instance{Checks: own("http", true)}, want: "HTTPS"},
		"a TCP check":                       {instance: catalog.Instance{Checks: own("tcp", false)}, want: "TCP"},
		"a TLS check":                       {instance: catalog.Instance{Checks: own("tcp", true)}, want: "TLS"},
		"a check of another port":           {instance: catalog.Instance{Checks: []catalog.Check{{Type: "tcp", Port: 9000}}}, want: "HTTP"},
		"a check of an unknown port":        {instance: catalog.Instance{Checks: []catalog.Check{{Type: "tcp"}}}, want: "TCP"},
		"another check first":               {instance: catalog.Instance{Checks: append([]catalog.Check{{Type: "grpc", Port: 9000}}, own("tcp", false)...)}, want: "TCP"},
		"the service's name":                {service: "price-grpc", instance: catalog.Instance{Checks: []catalog.Check{{Type: "http", Port: 8081}}}, want: "GRPC"},
		"the service's name and HTTP":       {service: "price-grpc", instance: catalog.Instance{Checks: own("http", false)}, want: "HTTP"},
		"not the service's name":            {service: "pricegrpc", want: "HTTP"},
		"vault":                             {instance: catalog.Instance{Meta: meta{"external-source": "vault"}}, want: "TCP"},
		"PostgreSQL":                        {instance: catalog.Instance{Port: 5432, Checks: []catalog.Check{{Type: "http", Port: 8008}}}, want: "TCP"},
		"HTTP on a port of PostgreSQL":      {instance: catalog.Instance{Port: 5432, Checks: []catalog.Check{{Type: "http", Port: 5432}}}, want: "HTTP"},
		"SMTP":                              {instance: catalog.Instance{Port: 25, Checks: []catalog.Check{{Type: "ttl"}}}, want: "TCP"},
		"443":                               {instance: catalog.Instance{Port: 443, Checks: []catalog.Check{{Type: "tcp", Port: 443}}}, want: "HTTPS"},
		"HTTP on 443":                       {instance: catalog.Instance{Port: 443, Checks: []catalog.Check{{Type: "http", Port: 443}}}, want: "HTTP"},
		"the known protocol":                {instance: catalog.Instance{Protocol: "REDIS", Meta: meta{"protocol": "grpc"}}, want: "REDIS"},
		"secure, and an HTTP check":         {instance: catalog.Instance{Meta: meta{"secure": "true"}, Checks: own("http", false)}, want: "HTTPS", reasons: "contradictory_protocol"},
		"not secure, and an HTTPS check":    {instance: catalog.Instance{Meta: meta{"secure": "false"}, Checks: own("http", true)}, want: "HTTPS", reasons: "contradictory_protocol"},
		"declared HTTP, and an HTTPS check": {instance: catalog.Instance{Meta: meta{"protocol": "http"}, Checks: own("http", true)}, want: "HTTP", reasons: "contradictory_protocol"},
		"declared TCP, and an HTTPS check":  {instance: catalog.Instance{Meta: meta{"protocol": "tcp"}, Checks: own("http", true)}, want: "TCP"},
		"declared gRPC, and an HTTP check":  {instance: catalog.Instance{Meta: meta{"protocol": "grpc"}, Checks: own("http", false)}, want: "GRPC"},
	} {
		t.Run(name, func(t *testing.T) {
			got, reasons := protocolOf(test.service, test.instance)
			if got != test.want || strings.Join(reasons, " ") != test.reasons {
				t.Errorf("got %s and %q, want %s and %q", got, reasons, test.want, test.reasons)
			}
		})
	}
}

// protocolOf returns the protocol of a service's first port, and the reasons of the findings about protocols.
func protocolOf(name string, instances ...catalog.Instance) (protocol string, reasons []string) {
	if name == "" {
		name = "web"
	}
	service := catalog.Service{Key: catalog.Key{Source: "consul", Name: name}, Datacenter: "dc1"}
	for i, instance := range instances {
		instance.ID = catalog.InstanceID{Datacenter: "dc1", Node: "n", ServiceID: string(rune('a' + i))}
		instance.Address, instance.Health = "10.0.0."+string(rune('1'+i)), catalog.Passing
		if instance.Port == 0 {
			instance.Port = 8080
		}
		service.Instances = append(service.Instances, instance)
	}
	c := meshtest.Case{Service: service}
	resources, findings := mesh.Translate(service, c.MeshName(), meshtest.DefaultOptions())
	for _, finding := range findings {
		if strings.Contains(string(finding.Reason), "protocol") {
			reasons = append(reasons, string(finding.Reason))
		}
	}
	return resources.Objects[0].Spec.(*networking.ServiceEntry).Ports[0].Protocol, reasons
}

// TestNewInstanceKeepsTheProtocol verifies that an instance with a check that has not run yet does not change the protocol
// of its service.
func TestNewInstanceKeepsTheProtocol(t *testing.T) {
	running := catalog.Instance{Checks: []catalog.Check{{Type: "tcp", Port: 9000}}}
	starting := catalog.Instance{Checks: []catalog.Check{{Type: "tcp"}}}
	for _, instances := range [][]catalog.Instance{{running, starting}, {starting, running}} {
		if got, reasons := protocolOf("web", instances...); got != "HTTP" || len(reasons) > 0 {
			t.Errorf("got %s and %q", got, reasons)
		}
	}
	if got, reasons := protocolOf("web", starting, starting); got != "TCP" || len(reasons) > 0 {
		t.Errorf("got %s and %q", got, reasons)
	}
}
