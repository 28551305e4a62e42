package mesh_test

import (
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

func rangesOf(t *testing.T, texts ...string) []mesh.AddressRange {
	t.Helper()
	all := make([]mesh.AddressRange, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = mesh.ParseAddressRange(text); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// forbiddenFor returns the finding for an instance with an address; empty if the instance is in the mesh.
func forbiddenFor(t *testing.T, address string, rules mesh.Addresses) string {
	t.Helper()
	c := meshtest.Cases()[0]
	c.Options.Addresses = rules
	c.Service.Instances = c.Service.Instances[:1]
	c.Service.Instances[0].Address = address
	resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	switch {
	case len(findings) == 0 && len(resources.Objects) == 2:
		return ""
	case len(findings) == 1 && findings[0].Reason == mesh.ForbiddenAddress && len(resources.Objects) == 0:
		return findings[0].Examples[0].Detail
	default:
		t.Errorf("%q: %d objects, %+v", address, len(resources.Objects), findings)
		return ""
	}
}

// TestForbiddenAddresses verifies the built-in list, and that the configuration of the finding accepts the address.
func TestForbiddenAddresses(t *testing.T) {
	for address, admits := range map[string]string{ // the entry that the finding names; empty if the instance is in the mesh
		"127.0.0.1": "127.0.0.0/8", "127.255.255.254": "127.0.0.0/8", "0.1.2.3": "0.0.0.0/8",
		"::1": "::1", "[::1]": "::1", "::ffff:127.0.0.1": "127.0.0.0/8", "::127.0.0.1": "127.0.0.0/8",
		"64:ff9b::127.0.0.1": "127.0.0.0/8", "2002:7f00:1::1": "127.0.0.0/8", "2002:a9fe:a9fe::": "169.254.169.254",
		"64:ff9b::a9fe:a9fe": "169.254.169.254", "[::ffff:a9fe:a9fe]": "169.254.169.254",
		"169.254.169.254": "169.254.169.254", "169.254.170.2": "169.254.0.0/16", "fe80::1": "fe80::/10", "febf::1": "fe80::/10",
		"fd00:ec2::254": "fd00:ec2::/32", "fd20:ce::254": "fd20:ce::254", "100.100.100.200": "100.100.100.200",
		"168.63.129.16": "168.63.129.16", "192.0.0.192": "192.0.0.192",
		"localhost": "localhost", "LOCALHOST.": "localhost", "db.localhost": "*.localhost", "localhost.localdomain": "localhost.localdomain",
		"ip6-loopback": "ip6-loopback", "metadata.google.internal": "metadata.google.internal", "Metadata": "metadata",
		"instance-data.ec2.internal": "instance-data.ec2.internal",
		"cluster.local":              "cluster.local", "bank.default.svc.cluster.local.": "bank.default.svc.cluster.local",
		"bank.default.svc.clusterset.local": "bank.default.svc.clusterset.local", "bank.default.svc": "bank.default.svc", "svc": "svc", "kubernetes": "kubernetes", "kubernetes.default": "kubernetes.default",

		"10.0.0.1": "", "192.168.0.1": "", "128.0.0.1": "", "169.253.0.1": "", "100.64.0.1": "", "240.0.0.1": "", "fd00::1": "", "fec0::1": "",
		"2001:db8::1": "", "::ffff:10.0.0.1": "", "64:ff9b::10.0.0.1": "", "2002:a00:1::1": "",
		// Short names of the cluster.
		"vm-17": "vm-17", "wpad": "wpad", "WPAD.": "wpad", "mylocalhost": "mylocalhost", "mysvc": "mysvc", "com": "com", "xn--fiq228c": "xn--fiq228c",
		"web.default": "web.default", "Web.Default.": "web.default", "istiod.istio-system": "istiod.istio-system", "web.dev": "web.dev", "web.prod": "web.prod",
		"web.test": "web.test", "web.internal": "web.internal", "mycluster.local": "mycluster.local", "web.consul": "web.consul",
		"web-0.web.default": "web-0.web.default", "web-0.web.payments": "web-0.web.payments", "10-0-0-1.default.pod": "10-0-0-1.default.pod",
		"web.default.svc": "web.default.svc", "web-0.web.default.svc": "web-0.web.default.svc", "web.web.default.pod": "web.web.default.pod",
		"www.example.com": "", "example.com": "", "db.co.uk": "", "example.de": "", "localhost.example.com": "", "cluster.local.example.com": "",
		"vm-17.corp.example": "", "vm-17.dc1.corp": "", "vm-17.ec2.internal": "", "db.shop.dev": "", "n1.node.consul": "", "vm.rack.dc.acme": "", "x.mycluster.local": "",

		// IPv6 addresses that contain an IPv4 address.
		"::ffff:0:127.0.0.1": "127.0.0.0/8", "::ffff:0:169.254.169.254": "169.254.169.254", "::ffff:0:10.0.0.1": "",
		"64:ff9b:1::a9fe:a9fe": "169.254.169.254", "64:ff9b:1:fffe::127.0.0.1": "127.0.0.0/8", "64:ff9b:1:7f00:0:100::": "127.0.0.0/8",
		"64:ff9b:1:7f01:2:300::": "127.0.0.0/8", "64:ff9b:1:ffa9:fe:a9fe::": "169.254.169.254", "64:ff9b:1:ffff:a9:fea9:fe00:0": "169.254.169.254",
		"64:ff9b:1::10.0.0.1": "", "64:ff9b:1:abcd::192.168.1.1": "", "64:ff9b:2::7f00:1": "",
		"2001:0:7f00:1::": "127.0.0.0/8", "2001:0:a00:1:0:0:80ff:fffe": "127.0.0.0/8", "2001:0:a00:1::5601:5601": "169.254.169.254",
		"2001:0:a00:1::f5ff:fffe": "", "2001:1::7f00:1": "",
		"fd00::5efe:127.0.0.1": "127.0.0.0/8", "2001:db8::200:5efe:a9fe:a9fe": "169.254.169.254", "fd00::5efe:10.0.0.1": "", "fd00::100:5efe:7f00:1": "",
		"2002:7f00:1::5efe:a00:1": "127.0.0.0/8", "::169.254.1.1": "169.254.0.0/16", "::10.0.0.1": "",
	} {
		got := forbiddenFor(t, address, mesh.Addresses{})
		if admits == "" {
			if got != "" {
				t.Errorf("%q: %s", address, got)
			}
			continue
		}
		if !strings.HasSuffix(got, `; to accept it, set mesh.addresses.allow: ["`+admits+`"]`) {
			t.Errorf("%q: %q, want a finding that names %s", address, got, admits)
		}
		// The configuration of the finding accepts the address.
		if left := forbiddenFor(t, address, mesh.Addresses{Allow: rangesOf(t, admits, "2000::/3", "::/8", "64:ff9b::/32", "fd00::/64")}); left != "" {
			t.Errorf("%q with %s allowed: %s", address, admits, left)
		}
	}
}

// TestAddressRules verifies the precedence of the address rules.
func TestAddressRules(t *testing.T) {
	for _, test := range []struct {
		address     string
		allow, deny []string
		want        bool
	}{
		{"10.1.2.3", nil, []string{"10.0.0.0/8"}, false},
		{"::ffff:10.1.2.3", nil, []string{"10.0.0.0/8"}, false},
		{"64:ff9b::10.1.2.3", nil, []string{"10.0.0.0/8"}, false},
		{"64:ff9b::10.1.2.3", []string{"64:ff9b::/96"}, []string{"10.0.0.0/8"}, false},
		{"10.1.2.3", []string{"10.1.0.0/16"}, []string{"10.0.0.0/8"}, true},
		{"10.2.2.3", []string{"10.1.0.0/16"}, []string{"10.0.0.0/8"}, false},
		{"10.1.2.3", nil, []string{"10.1.2.3"}, false},
		{"10.1.2.4", nil, []string{"10.1.2.3"}, true},
		{"10.1.2.3", nil, []string{"*"}, true}, // globs match host names only
		{"vm-1", nil, []string{"*"}, false},
		{"VM-1.Corp.example.", []string{"*.Corp.example"}, []string{"*"}, true},
		{"vm-1.example.com", nil, []string{"0.0.0.0/0", "::/0"}, true},
		{"vm-1", []string{"vm-*"}, nil, true},
		{"64:ff9b:1::10.1.2.3", nil, []string{"10.0.0.0/8"}, false},
		{"2001:0:1:1::f5fe:fdfc", nil, []string{"10.0.0.0/8"}, false},
		{"2001:db8::1", nil, []string{"2001:db8::/32"}, false},
		{"127.0.0.1", []string{"0.0.0.0/0"}, nil, true},
		{"::1", []string{"::1"}, nil, true},
		{"169.254.169.254", []string{"169.254.0.0/16"}, nil, true},
		{"bank.default.svc.cluster.local", []string{"bank.*"}, nil, true},
	} {
		got := forbiddenFor(t, test.address, mesh.Addresses{Allow: rangesOf(t, test.allow...), Deny: rangesOf(t, test.deny...)})
		if (got == "") != test.want {
			t.Errorf("%s, allow %v, deny %v: %q", test.address, test.allow, test.deny, got)
		}
	}
}

// TestForbiddenAddressKeepsOthers verifies that a forbidden address removes its own instance only, although it would have
// changed the ports and the resolution of the service.
func TestForbiddenAddressKeepsOthers(t *testing.T) {
	c := meshtest.Cases()[1]
	want, _ := mesh.Translate(c.Service, c.MeshName(), c.Options)
	c.Service.Instances = append(c.Service.Instances, catalog.Instance{
		ID:      catalog.InstanceID{Datacenter: "dc1", Node: "z", ServiceID: "hostile"},
		Address: "localhost", Port: 22, Health: catalog.Passing,
	})
	if got, findings := mesh.Translate(c.Service, c.MeshName(), c.Options); !got.Equal(want) || len(findings) != 1 {
		t.Errorf("the service differs; %v", findings)
	}
}
