package meshtest

import (
	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func ports() []Case {
	different := func() catalog.Service {
		return service("web", instance("web-a", port(8081)), instance("web-b", port(8082)))
	}
	several := func() catalog.Service {
		ports := namedPorts(
			catalog.Port{Name: "grpc-api", Number: 9090, Default: true},
			catalog.Port{Name: "http", Number: 8080},
			catalog.Port{Name: "redis", Number: 6379},
		)
		return service("web", instance("web-a", ports), instance("web-b", ports))
	}
	return []Case{
		of("ports-different", different()),
		of("ports-different-inline", different(), inline),
		of("ports-80", service("web", instance("web", port(80)))),
		of("ports-80-inline", service("web", instance("web", port(80))), inline),
		// The set of ports does not depend on health.
		of("ports-different-one-critical", service(
			"web",
			instance("web-a", port(8081)),
			instance("web-b", port(8082), health(catalog.Critical)),
		)),
		// During a change of the port, callers may use both numbers. A number that a single instance has is random.
		of("ports-rolling", service("web", instance("web-a", port(8081)), instance("web-b", port(8081)), instance("web-c", port(8082)))),
		of("ports-rolling-inline", service("web", instance("web-a", port(8081)), instance("web-b", port(8082))), inline),
		of("ports-random", service("web", instance("web-a", port(31001)), instance("web-b", port(31002)), instance("web-c", port(31003)))),
		of("ports-native-off", service("web", instance("web-a", port(31001)), instance("web-b", port(31002))), func(o *mesh.Options) { o.NoNativePort = true }),
		of("ports-several", several(), hostTemplates("{{ .Name }}")),
		of("ports-several-inline", several(), inline),
		of("ports-from-meta", service(
			"web",
			instance("new", meta("gRPC_port", "9090", "management-port", "9001"), checks("http")),
			instance("old", tags("gRPC.port=9090", "management.port=9001"), checks("http")),
			instance("other", meta("grpc-port", "9091", "management_port", "9001"), checks("http")),
		)),
		of("ports-from-meta-fixed", service(
			"web",
			instance("a", meta("gRPC_port", "41000")),
			instance("b", meta("gRPC_port", "41001")),
			instance("c", meta("gRPC_port", "41002")),
		), func(o *mesh.Options) { o.Ports = []mesh.NamedPort{{Name: "grpc", Protocol: mesh.GRPC, Number: 9090}} }),
		of("ports-from-meta-random", service(
			"web",
			instance("a", meta("gRPC_port", "41000")),
			instance("b", meta("gRPC_port", "41001")),
			instance("c", meta("gRPC_port", "41002")),
		)),
		of("ports-not-on-all", service(
			"web",
			instance("a", meta("gRPC_port", "9090")),
			instance("b", meta("gRPC_port", "none"), health(catalog.Critical)),
		)),
		of("ports-taken", service(
			"web",
			instance("web", namedPorts(
				catalog.Port{Name: "http", Number: 8080, Default: true},
				catalog.Port{Name: "admin", Number: 80},
				catalog.Port{Name: "again", Number: 8080},
				catalog.Port{Name: "default", Number: 8081},
				catalog.Port{Name: "Odd__Name", Number: 8082},
				catalog.Port{Name: "中文", Number: 8083},
				catalog.Port{Name: "out", Number: 70000},
			)),
		)),
		of("ports-disagree", service(
			"web",
			instance("a", meta("grpc_port", "9090", "management_port", "9001", "management_protocol", "tcp")),
			instance("b", meta("grpc_port", "9090", "management_port", "9001", "grpc_protocol", "http2", "management_protocol", "what")),
		)),
		of("ports-out-of-range", service(
			"web",
			instance("negative", port(-1)),
			instance("none", port(0)),
			instance("right", port(65535)),
			instance("too-large", port(70000)),
		)),
	}
}

func protocols() []Case {
	single := func(changes ...change) catalog.Service { return service("web", instance("web", changes...)) }
	return []Case{
		of("protocol-from-meta", single(meta("protocol", "grpc"), checks("http"))),
		of("protocol-by-grpc-check", single(checks("grpc", "http"))),
		of("protocol-by-http-check", single(checks("http", "tcp")), fallback(mesh.TCP)),
		of("protocol-by-tcp-check", single(checks("tcp"))),
		of("protocol-default", single(checks("ttl"))),
		of("protocol-secure", single(meta("secure", "true"), checks("https")), hostTemplates("{{ .Name }}")),
		of("protocol-secure-tag", single(tags("secure=true"), checks("https"))),
		of("protocol-secure-but-declared", single(meta("secure", "true", "protocol", "http"))),
		of("protocol-of-default-port", single(namedPorts(catalog.Port{Name: "mysql", Number: 8080, Default: true}), checks("tcp"))),
		of("protocol-unknown", single(meta("protocol", "carrier-pigeon"), checks("tcp"))),
		of("protocol-mixed-http-2", service(
			"web",
			instance("web-a", checks("grpc")),
			instance("web-b", meta("protocol", "http2")),
			instance("no-port-no-say", checks("tcp"), port(0)),
		)),
		of("protocol-mixed-http-1-and-2", service(
			"web",
			instance("web-a", checks("grpc")),
			instance("web-b", checks("http")),
		)),
		of("protocol-mixed-with-tcp", service(
			"web",
			instance("web-a", checks("grpc")),
			instance("web-b", meta("protocol", "Redis")),
		)),
	}
}
