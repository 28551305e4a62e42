package consul

import (
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestKinds verifies the kinds that a registration shows.
func TestKinds(t *testing.T) {
	entry := func(change func(e *api.ServiceEntry)) *api.ServiceEntry {
		e := &api.ServiceEntry{
			Node:    &api.Node{Node: "n1", Address: "10.0.0.1"},
			Service: &api.AgentService{ID: "web-1", Service: "web", Port: 80, Meta: map[string]string{}},
		}
		change(e)
		return e
	}
	meta := func(keys ...string) *api.ServiceEntry {
		return entry(func(e *api.ServiceEntry) {
			for i := 0; i < len(keys); i += 2 {
				e.Service.Meta[keys[i]] = keys[i+1]
			}
		})
	}
	check := func(id, kind string) *api.ServiceEntry {
		return entry(func(e *api.ServiceEntry) { e.Checks = api.HealthChecks{nil, {ServiceID: id, Type: kind}} })
	}
	for name, test := range map[string]struct {
		entry *api.ServiceEntry
		want  catalog.Kinds
	}{
		"none":                 {meta(), 0},
		"Nomad":                {meta("external-source", "nomad"), 0},
		"catalog sync":         {meta("external-source", "Kubernetes"), catalog.KubernetesSync},
		"its other meta":       {meta("external-k8s-ns", "shop"), catalog.KubernetesSync},
		"katalog-sync":         {meta("external-k8s-namespace", "shop"), catalog.KubernetesSync},
		"its node":             {entry(func(e *api.ServiceEntry) { e.Node.Node = "k8s-sync" }), catalog.KubernetesSync},
		"its check":            {check("web-1", "kubernetes-readiness"), catalog.KubernetesSync},
		"a check of the node":  {check("", "kubernetes-readiness"), 0},
		"injected pods":        {meta("k8s-namespace", "shop", "pod-name", "web-1", "managed-by", "consul-k8s-endpoints-controller"), 0},
		"the tag only":         {entry(func(e *api.ServiceEntry) { e.Service.Tags = []string{"k8s"} }), 0},
		"native":               {entry(func(e *api.ServiceEntry) { e.Service.Connect = &api.AgentServiceConnect{Native: true} }), catalog.ConnectNative},
		"not native":           {entry(func(e *api.ServiceEntry) { e.Service.Connect = &api.AgentServiceConnect{} }), 0},
		"UDP and catalog sync": {meta("external-source", "kubernetes", "protocol", "udp"), catalog.UDP | catalog.KubernetesSync},
		"opted in":             {meta("external-source", "kubernetes", "protocol", "udp", "isthmus", "TRUE"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := convert(catalog.Key{Name: "web"}, "dc1", []*api.ServiceEntry{test.entry}, "").Instances[0].LeftOut
			if got != test.want {
				t.Errorf("kinds %b, want %b", got, test.want)
			}
		})
	}
}

// TestLeftOutSupersedesNothing verifies that an instance that is left out does not supersede one at the same address and
// port, and that it does once its kind is included.
func TestLeftOutSupersedesNothing(t *testing.T) {
	at := func(id string, modified uint64) *api.ServiceEntry {
		return &api.ServiceEntry{
			Node:    &api.Node{Node: "n1", Address: "10.0.0.1"},
			Service: &api.AgentService{ID: id, Service: "dns", Port: 53, ModifyIndex: modified},
		}
	}
	service := convert(catalog.Key{Name: "dns"}, "dc1", []*api.ServiceEntry{at("dns:53", 1), at("dns:53:udp", 2)}, "")
	selector := newSelector(Selection{})
	selector.open(&recorder{})
	got := selector.apply(service)
	if got.Endpoints() != 1 || got.Instances[0].Superseded || got.Instances[1].LeftOut != catalog.UDP {
		t.Errorf("left out: %+v", got.Instances)
	}
	selector.change(Selection{Kinds: catalog.UDP})
	got = selector.apply(service)
	if got.Endpoints() != 1 || !got.Instances[0].Superseded || got.Instances[1].LeftOut != 0 {
		t.Errorf("included: %+v", got.Instances)
	}
	if service.Instances[0].Superseded || service.Instances[1].LeftOut == 0 {
		t.Errorf("the report has changed: %+v", service.Instances)
	}
}
