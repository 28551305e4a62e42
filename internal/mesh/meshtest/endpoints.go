package meshtest

import (
	"fmt"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func healths() []Case {
	each := func() catalog.Service {
		return service(
			"web",
			instance("critical", health(catalog.Critical)),
			instance("maintenance", health(catalog.Maintenance)),
			instance("passing", weights(10, 2)),
			instance("warning", weights(10, 2), health(catalog.Warning)),
		)
	}
	none := func() catalog.Service {
		return service(
			"web",
			instance("web-a", health(catalog.Critical)),
			instance("web-b", health(catalog.Maintenance)),
		)
	}
	return []Case{
		of("health-each", each()),
		of("health-passing-only", each(), passingOnly),
		of("health-warning-weight-0", service(
			"web",
			instance("passing"),
			instance("warning", weights(1, 0), health(catalog.Warning)),
		)),
		of("health-odd-weights", service(
			"web",
			instance("large", weights(1_000_000, 1)),
			instance("negative", weights(-5, -5)),
			instance("negative-warning", weights(-5, -5), health(catalog.Warning)),
			instance("zero", weights(0, 0)),
		)),
		of("health-all-critical", none()),
		of("health-all-critical-inline", none(), inline),
	}
}

func addresses() []Case {
	named := func(state catalog.Health) catalog.Service {
		return service("web", instance("web", address("VM-17.example.com."), health(state)))
	}
	return []Case{
		of("address-host-name", named(catalog.Passing)),
		of("address-host-name-inline", named(catalog.Passing), inline),
		of("address-host-name-critical", named(catalog.Critical)),
		// With resolution DNS, Istio would resolve the host itself.
		of("address-host-name-critical-inline", named(catalog.Critical), inline),
		of("address-mixed", service(
			"web",
			instance("by-ip"),
			instance("by-name", address("vm-17.example.com")),
		)),
		of("address-mostly-names", service(
			"web",
			instance("by-ip"),
			instance("by-name", address("vm-17.example.com")),
		)),
		of("address-mostly-ip", service(
			"web",
			instance("by-ip-1", health(catalog.Critical)),
			instance("by-ip-2", health(catalog.Critical)),
			instance("by-name", address("vm-17.example.com")),
		)),
		of("address-ipv6", service(
			"web",
			instance("bare", address("2001:DB8:0::1")),
			instance("brackets", address("[2001:db8::2]")),
			instance("mapped", address("::ffff:10.0.0.3")),
		)),
		// These addresses depend on the caller, or give access to credentials of a cloud.
		of("address-forbidden", hostile()),
		of("address-allowed", hostile(), func(o *mesh.Options) {
			o.Addresses.Allow = ranges("127.0.0.0/8", "::1", "localhost", "fe80::/10")
			o.Addresses.Deny = ranges("10.0.0.0/8", "*.example.com")
		}),
		of("address-empty", service("web", instance("web", address("")))),
		of("address-broken", service(
			"web",
			instance("multicast", address("224.0.0.1")),
			instance("mistyped", address("10.0.0.256")),
			instance("not-utf-8", address("caf\xe9")),
			instance("right"),
			instance("socket", address("unix:///run/web.sock")),
			instance("underscore", address("my_host")),
			instance("unspecified", address("0.0.0.0")),
			instance("with-port", address("10.0.0.1:80")),
			instance("zoned", address("fe80::1%eth0")),
		)),
	}
}

// hostile returns a service with forbidden and allowed addresses.
func hostile() catalog.Service {
	return service(
		"web",
		instance("cluster", address("bank.bank.svc.cluster.local")),
		instance("embedded", address("64:ff9b::7f00:1")),
		instance("link-local", address("fe80::1")),
		instance("loopback", address("127.0.0.1")),
		instance("loopback-6", address("::1")),
		instance("loopback-mapped", address("[::ffff:127.0.0.2]")),
		instance("loopback-name", address("LocalHost.")),
		instance("metadata", address("169.254.169.254")),
		instance("metadata-name", address("metadata.google.internal")),
		instance("name", address("vm-17.example.com")),
		instance("right", address("10.0.0.1")),
		instance("right-6", address("2001:db8::1")),
	)
}

// ranges parses address ranges. It panics on an invalid one.
func ranges(texts ...string) []mesh.AddressRange {
	all := make([]mesh.AddressRange, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = mesh.ParseAddressRange(text); err != nil {
			panic(err)
		}
	}
	return all
}

// limits returns services that exceed limits.
func limits() []Case {
	few := func(o *mesh.Options) { o.MaxInstances = 2 }
	large := func() catalog.Service {
		return service(
			"web",
			instance("web-1", health(catalog.Critical)), instance("web-2"), instance("web-3"), instance("web-4"), instance("web-5"),
		)
	}
	broken := make([]catalog.Instance, 20)
	for i := range broken {
		broken[i] = instance(fmt.Sprintf("web-%02d", i), port(0))
	}
	return []Case{
		of("limits-instances", large(), few),
		of("limits-instances-inline", large(), few, inline),
		of("limits-broken-instances", service("web", append(broken, instance("web-99"))...)),
	}
}

func localities() []Case {
	return []Case{
		of("locality", service(
			"web",
			instance("consul", locality(catalog.Locality{Region: "eu-1", Zone: "eu-1a"}), nodeMeta("zone", "other"), meta("zone", "other")),
			instance("datacenter"),
			instance("instance-meta", meta("zone", "az 3")),
			instance("node-meta", nodeMeta("topology-region", "eu-2", "availability-zone", "eu-2/b"), meta("region", "other")),
			instance("region-alone", meta("region", "eu-3")),
			instance("too-long", meta("zone", strings.Repeat("x", 62)+"-y")),
		)),
	}
}
