package meshtest

import (
	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func ports() []Case {
	different := func() catalog.Service {
		return service("web", instance("web-a", port(8081)), instance("web-b", port(8082)))
	}
	return []Case{
		of("ports-different", different()),
		of("ports-different-inline", different(), inline),
		of("ports-80", service("web", instance("web", port(80)))),
		of("ports-80-inline", service("web", instance("web", port(80))), inline),
		// Were they counted by health, the set of ports would come and go with it.
		of("ports-different-one-critical", service(
			"web",
			instance("web-a", port(8081)),
			instance("web-b", port(8082), health(catalog.Critical)),
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
		of("protocol-unknown", single(meta("protocol", "dubbo"), checks("tcp"))),
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
