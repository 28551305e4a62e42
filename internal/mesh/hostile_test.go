package mesh_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// FuzzHostile verifies for arbitrary registrations and rules: a service gets only hosts, labels and addresses that are its
// own, the objects are valid, and there is no panic.
func FuzzHostile(f *testing.F) {
	for seed := range 64 {
		var bytes []byte
		for i := range 60 * (1 + seed%8) {
			bytes = append(bytes, byte(seed*(i+7)*(i+3)>>2))
		}
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkHostile(t, meshtest.Hostile(data)) })
}

// TestHostileCases verifies the same for the cases.
func TestHostileCases(t *testing.T) {
	for _, c := range meshtest.Cases() {
		t.Run(c.Name, func(t *testing.T) { checkHostile(t, c) })
	}
}

func checkHostile(t *testing.T, c meshtest.Case) {
	t.Helper()
	resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if resources.Broken {
		t.Fatalf("%+v", findings)
	}
	checkResources(t, resources)
	checkTagHosts(t, c, resources)
	endpoints := 0
	for i, object := range resources.Objects {
		if name, ok := mesh.ParseObjectName(object.Kind, object.Name); !ok || name != c.MeshName() {
			t.Errorf("%s %s belongs to %v", object.Kind, object.Name, name)
		}
		if i > 0 && object.SameAs(resources.Objects[i-1]) {
			t.Errorf("%s %s is a duplicate", object.Kind, object.Name)
		}
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			checkOwn(t, c, spec)
			endpoints += len(spec.Endpoints)
			for _, endpoint := range spec.Endpoints {
				checkEndpoint(t, c, endpoint)
			}
		case *networking.WorkloadEntry:
			endpoints++
			checkEndpoint(t, c, spec)
		}
	}
	if most := c.Options.MaxInstances; most > 0 && endpoints > most {
		t.Errorf("%d endpoints, the limit is %d", endpoints, most)
	}
}

// checkTagHosts fails the test if a tag has a host or an endpoint that it must not have.
func checkTagHosts(t *testing.T, c meshtest.Case, resources mesh.Resources) {
	t.Helper()
	if len(resources.TagHosts) > 16 {
		t.Errorf("%d tags have hosts", len(resources.TagHosts))
	}
	for _, host := range resources.TagHosts {
		name := c.MeshName().OfTag(host.Tag)
		for _, object := range host.Objects {
			if got, ok := mesh.ParseObjectName(object.Kind, object.Name); !ok || got != name {
				t.Errorf("%s %s belongs to %v, want %v", object.Kind, object.Name, got, name)
			}
			entry, ok := object.Spec.(*networking.ServiceEntry)
			if !ok {
				continue
			}
			checkOwn(t, c, entry)
			for _, name := range entry.Hosts {
				if !strings.HasPrefix(name, host.Tag+"."+c.MeshName().Label+".service.") {
					t.Errorf("tag %q has host %q", host.Tag, name)
				}
			}
			for _, endpoint := range entry.Endpoints {
				checkEndpoint(t, c, endpoint)
				if !slices.ContainsFunc(c.Service.Instances, func(i catalog.Instance) bool {
					return c.Options.TakesTraffic(i) && slices.ContainsFunc(i.Tags, func(tag string) bool { return strings.EqualFold(tag, host.Tag) })
				}) {
					t.Errorf("no instance has tag %q of host %q", host.Tag, entry.Hosts)
				}
			}
		}
	}
}

// checkOwn fails the test if a ServiceEntry has fields that a registry must not set.
func checkOwn(t *testing.T, c meshtest.Case, entry *networking.ServiceEntry) {
	t.Helper()
	if len(entry.Hosts) == 0 || len(entry.SubjectAltNames) != 0 || len(entry.Addresses) != 0 {
		t.Errorf("hosts %q, names %q, addresses %q", entry.Hosts, entry.SubjectAltNames, entry.Addresses)
	}
	for _, host := range entry.Hosts {
		if strings.Contains(host, "*") || mesh.UnderDomain(host, c.Options.ClusterDomain) || mesh.UnderDomain(host, "svc") ||
			mesh.UnderDomain(host, "localhost") || host == "kubernetes" || host == "metadata" || host == "metadata.google.internal" {
			t.Errorf("host %q", host)
		}
	}
}

// ours are the labels that isthmus sets.
var ours = []string{
	"app", "service.istio.io/canonical-name", "service.istio.io/canonical-revision", mesh.SourceLabel, mesh.ServiceLabel,
}

// checkEndpoint fails the test if an endpoint has a label or address that a registry must not set.
func checkEndpoint(t *testing.T, c meshtest.Case, entry *networking.WorkloadEntry) {
	t.Helper()
	known := func(r mesh.NetworkRange) bool { return r.Network == entry.Network }
	configured := entry.Network == "" || slices.ContainsFunc(c.Options.Networks.Ranges, known) ||
		slices.Contains(slices.Collect(maps.Values(c.Options.Networks.Sources)), entry.Network)
	if entry.ServiceAccount != "" || !configured {
		t.Errorf("service account %q, network %q", entry.ServiceAccount, entry.Network)
	}
	label, source := c.MeshName().Label, c.Service.Source
	if l := entry.Labels; l["app"] != label || l["service.istio.io/canonical-name"] != label || l[mesh.ServiceLabel] != label || l[mesh.SourceLabel] != source {
		t.Errorf("labels %q of %q", l, label)
	}
	if len(c.Options.Labels.Allow) == 0 {
		for key := range entry.Labels {
			domain, _, _ := strings.Cut(key, "/")
			reserved := key == "istio" || strings.HasPrefix(key, "istio-") || key == "k8s-app"
			for _, end := range []string{"istio.io", "kubernetes.io", "k8s.io", "isthmus-mesh.github.io"} {
				reserved = reserved || mesh.UnderDomain(domain, end)
			}
			if reserved && !slices.Contains(ours, key) {
				t.Errorf("label %q", key)
			}
		}
	}
	if len(c.Options.Addresses.Allow) == 0 {
		checkAddress(t, entry.Address, c.Options.ClusterDomain)
	}
}

// checkAddress uses the standard library, which is independent of the lists in the code.
func checkAddress(t *testing.T, address, clusterDomain string) {
	t.Helper()
	ip, err := netip.ParseAddr(address)
	if err != nil {
		labels := strings.Split(address, ".")
		_, public := publicsuffix.PublicSuffix(address)
		if len(labels) == 1 || labels[len(labels)-1] == "pod" || (len(labels) == 2 && !public) {
			t.Errorf("address %q is a short name", address)
		}
		if mesh.UnderDomain(address, "localhost") || mesh.UnderDomain(address, "svc") || mesh.UnderDomain(address, clusterDomain) {
			t.Errorf("address %q", address)
		}
		return
	}
	if ip.Is4In6() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
		t.Errorf("address %q", address)
	}
	inside := ip.As16()
	for prefix, bytes := range map[string][]byte{
		"::/96": inside[12:], "::ffff:0:0:0/96": inside[12:], "64:ff9b::/96": inside[12:], "64:ff9b:1::/48": inside[12:], "2002::/16": inside[2:6],
		"2001::/32": inside[4:8],
	} {
		v4 := netip.AddrFrom4([4]byte(bytes))
		if netip.MustParsePrefix(prefix).Contains(ip) && (v4.IsLoopback() || v4.IsLinkLocalUnicast()) {
			t.Errorf("address %q contains %s", address, v4)
		}
	}
}
