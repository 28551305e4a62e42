package mesh_test

import (
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestParseProtocol verifies that names are case-insensitive.
func TestParseProtocol(t *testing.T) {
	for name, want := range map[string]mesh.Protocol{
		"http": mesh.HTTP, "HTTP": mesh.HTTP, "Http2": mesh.HTTP2, "grpc": mesh.GRPC, "grpc-web": mesh.GRPCWeb,
		"tcp": mesh.TCP, "tls": mesh.TLS, "https": mesh.HTTPS, "mongo": mesh.Mongo, "mysql": mesh.MySQL, "redis": mesh.Redis,
	} {
		if got, err := mesh.ParseProtocol(name); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", name, got, err, want)
		}
	}
	for _, protocol := range mesh.Protocols {
		if got, err := mesh.ParseProtocol(string(protocol)); err != nil || got != protocol {
			t.Errorf("%q is %q, %v", protocol, got, err)
		}
	}
}

// TestParseProtocolListsAll verifies that the error lists all protocols and has a bounded length.
func TestParseProtocolListsAll(t *testing.T) {
	for _, name := range []string{"", "udp", "http/2", " http", "dubbo", "\xff", strings.Repeat("x", 10_000)} {
		_, err := mesh.ParseProtocol(name)
		if err == nil || !strings.Contains(err.Error(), "tcp, tls, https, http, http2, grpc, grpc-web, mongo, mysql, redis") {
			t.Errorf("%q: error %v", name, err)
		} else if len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}
