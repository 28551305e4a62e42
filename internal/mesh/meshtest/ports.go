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

// sharedAddresses are registrations of one name at the same address.
func sharedAddresses() []Case {
	at := func(id, where string, number int, changes ...change) catalog.Instance {
		return instance(id, append([]change{address(where), port(number)}, changes...)...)
	}
	servers := func(ofHTTP, ofRPC change) catalog.Service {
		return service(
			"server",
			at("a-http", "10.0.0.1", 4646, tags("eu", "http"), checks("http"), weights(7, 1), ofHTTP),
			at("a-rpc", "10.0.0.1", 4647, tags("eu", "rpc"), checks("tcp"), ofRPC),
			at("b-http", "10.0.0.2", 4646, tags("eu", "http"), checks("http")),
			at("b-rpc", "10.0.0.2", 4647, tags("eu", "rpc"), checks("tcp")),
		)
	}
	healthy, critical := health(catalog.Passing), health(catalog.Critical)
	return []Case{
		of("address-with-two-ports", servers(healthy, healthy)),
		of("address-with-two-ports-inline", servers(healthy, healthy), inline),
		of("address-with-two-ports-native-off", servers(healthy, healthy), func(o *mesh.Options) { o.NoNativePort = true }),
		// The health of the main port is the health of the endpoint.
		of("address-with-two-ports-main-critical", servers(critical, healthy)),
		of("address-with-two-ports-other-critical", servers(healthy, critical)),
		of("address-with-two-ports-fixed", service(
			"redis",
			at("a-db", "10.0.0.1", 21001, tags("db")),
			at("a-metrics", "10.0.0.1", 22001, tags("metrics")),
			at("b-db", "10.0.0.2", 21501, tags("db")),
			at("b-metrics", "10.0.0.2", 22501, tags("metrics")),
			at("c-db", "10.0.0.3", 21901, tags("db")),
			at("c-metrics", "10.0.0.3", 22901, tags("metrics")),
		), fallback(mesh.TCP), func(o *mesh.Options) {
			o.Ports = []mesh.NamedPort{{Name: "metrics", Protocol: mesh.HTTP, Number: 9121}}
		}),
		of("address-without-main-port", service(
			"server",
			at("a-http", "10.0.0.1", 4646, tags("http")),
			at("a-rpc", "10.0.0.1", 4647, tags("rpc")),
			at("b-rpc", "10.0.0.2", 4647, tags("rpc")),
			at("c", "10.0.0.3", 9999),
		)),
		of("address-with-alike-ports", service("web", at("a-1", "10.0.0.1", 8081, tags("x")), at("a-2", "10.0.0.1", 8082, tags("x")))),
		of("address-with-odd-port-tags", service(
			"web",
			at("a-1", "10.0.0.1", 8081, tags("http")),
			at("a-2", "10.0.0.1", 8082, tags("native")),
			at("a-3", "10.0.0.1", 8083),
		)),
		of("address-of-urls", service("web", instance("web", port(9000), namedPorts(
			catalog.Port{Name: "grpc", Number: 9000, Protocol: "grpc"},
			catalog.Port{Name: "http", Number: 8000, Protocol: "https"},
			catalog.Port{Name: "odd", Number: 8001, Protocol: "carrier-pigeon"},
			catalog.Port{Name: "other", Number: 8002, Protocol: "http", Address: "10.9.9.9"},
			catalog.Port{Name: "ws", Number: 8003, Protocol: "ws"},
		)))),
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
