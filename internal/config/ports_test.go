package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestPorts(t *testing.T) {
	for content, want := range map[string][]mesh.NamedPort{
		"":                            mesh.DefaultPorts(),
		"mesh: {ports: []}":           mesh.DefaultPorts(),
		"mesh: {defaultPorts: false}": nil,
		"mesh: {ports: [{name: admin}]}": {
			{Name: "grpc", Protocol: mesh.GRPC}, {Name: "management", Protocol: mesh.HTTP}, {Name: "dapr", Protocol: mesh.GRPC}, {Name: "admin", Protocol: mesh.HTTP},
		},
		"mesh: {ports: [{name: admin}], defaultProtocol: tcp, defaultPorts: false}": {{Name: "admin", Protocol: mesh.TCP}},
		"mesh: {ports: [{name: grpc, protocol: grpc, number: 9090}, {name: jmx, protocol: tcp}]}": {
			{Name: "management", Protocol: mesh.HTTP},
			{Name: "dapr", Protocol: mesh.GRPC},
			{Name: "grpc", Protocol: mesh.GRPC, Number: 9090},
			{Name: "jmx", Protocol: mesh.TCP},
		},
	} {
		c, err := Parse([]byte(content))
		if err != nil {
			t.Fatalf("%s: %v", content, err)
		}
		options, err := c.MeshOptions()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, options.Ports); diff != "" {
			t.Errorf("%s (-want +got):\n%s", content, diff)
		}
	}
}

func TestPortsThatCannotBe(t *testing.T) {
	for content, want := range map[string]string{
		"{name: default}":      `mesh.ports[0].name: "default" is reserved for a port of isthmus`,
		"{name: gRPC}":         `mesh.ports[0].name: "gRPC" is not a valid port name`,
		"{name: a--b}":         `mesh.ports[0].name: "a--b" is not a valid port name`,
		"{}":                   `mesh.ports[0].name: "" is not a valid port name`,
		"{name: a}, {name: a}": `mesh.ports[1].name: "a" is the name of another port`,
		"{name: a, number: 9}, {name: b, number: 9}": `mesh.ports[1].number: 9 is the number of another port`,
		"{name: a, number: 65536}":                   `mesh.ports[0].number: 65536 is not within 0 and 65535`,
		"{name: a, protocol: udp}":                   `mesh.ports[0].protocol: protocol "udp" is unknown; use one of tcp`,
		"{nme: a}":                                   `unknown field "nme"`,
	} {
		_, err := Parse([]byte("mesh: {ports: [" + content + "]}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", content, err, want)
		}
	}
}
