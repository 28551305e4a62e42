package meshtest

import "github.com/isthmus-mesh/isthmus/internal/catalog"

func leftOut() []Case {
	return []Case{
		// The instance that is left out is newer, and has the address and port of the other one.
		of("left-out-udp", service(
			"dns",
			instance("dns-tcp", port(53), modified(1)),
			instance("dns-udp", port(53), modified(2), kinds(catalog.UDP)),
		)),
		of("left-out-each-kind", service(
			"web",
			instance("copied", kinds(catalog.KubernetesSync)),
			instance("native", kinds(catalog.ConnectNative)),
			instance("protected", kinds(catalog.ConnectSidecar)),
			instance("several", kinds(catalog.UDP|catalog.KubernetesSync)),
		)),
		of("left-out-ports", service(
			"dns",
			instance("dns", namedPorts(
				catalog.Port{Name: "tcp", Number: 53, Default: true},
				catalog.Port{Name: "dns-udp", Number: 53},
				catalog.Port{Name: "stats", Number: 8125},
				catalog.Port{Name: "http", Number: 8080},
			), meta("stats_protocol", "udp", "grpc_port", "9090", "grpc_protocol", "quic")),
		)),
	}
}

func kinds(k catalog.Kinds) change { return func(i *catalog.Instance) { i.LeftOut = k } }

func modified(index uint64) change { return func(i *catalog.Instance) { i.Modified = index } }
