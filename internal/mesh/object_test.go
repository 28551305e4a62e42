package mesh_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// TestParseObjectNameIsTheInverse verifies that the name of an object leads back to its service.
func TestParseObjectNameIsTheInverse(t *testing.T) {
	id := catalog.InstanceID{Datacenter: "dc1", Node: "node-1", ServiceID: "web-1"}
	for _, label := range []string{
		"web", "9", "a-b", "web--0123456789abcdef0123", "web-0123456789ab", "unnamed--0123456789abcdef0123", strings.Repeat("x", 63),
	} {
		name := mesh.Name{Source: "consul-east", Label: label}
		for kind, object := range map[mesh.Kind]string{
			mesh.ServiceEntryKind:  name.ServiceEntry(),
			mesh.WorkloadEntryKind: name.WorkloadEntry(id),
		} {
			if got, ok := mesh.ParseObjectName(kind, object); !ok || got != name {
				t.Errorf("%s %q belongs to %v, %t; want %v", kind, object, got, ok, name)
			}
		}
		name = name.OfTag("master")
		for kind, object := range map[mesh.Kind]string{
			mesh.ServiceEntryKind:    name.ServiceEntry(),
			mesh.DestinationRuleKind: name.DestinationRule("master.web.service.consul"),
		} {
			if got, ok := mesh.ParseObjectName(kind, object); !ok || got != name {
				t.Errorf("%s %q belongs to %v, %t; want %v", kind, object, got, ok, name)
			}
		}
	}
}

// TestParseObjectNameRejectsOthers verifies that other objects belong to no service.
func TestParseObjectNameRejectsOthers(t *testing.T) {
	for kind, names := range map[mesh.Kind][]string{
		mesh.ServiceEntryKind: {
			"", ".", "web", "web.", ".consul", "web.consul.x", "Web.consul", "web.Consul", "-web.consul", "we b.consul",
			strings.Repeat("x", 64) + ".consul", "web.consul-", "web.tag.consul", "web.master.tag", "web.master.x.consul", "web..tag.consul",
			"web.Master.tag.consul", "web.master.tag.", ".master.tag.consul", "web.a.b.tag.consul", "web." + strings.Repeat("x", 64) + ".tag.consul",
		},
		mesh.WorkloadEntryKind: {
			"", "web.consul", "web-0123456789ab", "-0123456789ab.consul", "web-0123456789a.consul", "web-0123456789abc.consul",
			"web-0123456789aX.consul", "web0123456789abc.consul", "web-0123456789ab.consul.x", "web-.consul", "web-0123456789ab.",
			strings.Repeat("x", 64) + "-0123456789ab.consul", "web-0123456789ab.master.tag.consul",
		},
	} {
		for _, name := range names {
			if got, ok := mesh.ParseObjectName(kind, name); ok || got != (mesh.Name{}) {
				t.Errorf("%s %q belongs to %v", kind, name, got)
			}
		}
	}
}

// TestWorkloadEntryNameIsTheIdentity verifies that names follow the ID and never change: a change would replace all objects.
func TestWorkloadEntryNameIsTheIdentity(t *testing.T) {
	name := mesh.Name{Source: "consul", Label: "web"}
	id := catalog.InstanceID{Datacenter: "dc1", Partition: "p", Namespace: "n", Node: "Node-1", ServiceID: "Web-1"}
	const want = "web-cde2092a86e5.consul"
	if got := name.WorkloadEntry(id); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	folded := id
	folded.Node, folded.ServiceID = "NODE-1", "web-1"
	if got := name.WorkloadEntry(folded); got != want {
		t.Errorf("the case of node and service ID changes the name: %q", got)
	}
	for field, change := range map[string]func(*catalog.InstanceID){
		"datacenter": func(id *catalog.InstanceID) { id.Datacenter = "dc2" },
		"partition":  func(id *catalog.InstanceID) { id.Partition = "" },
		"namespace":  func(id *catalog.InstanceID) { id.Namespace = "" },
		"node":       func(id *catalog.InstanceID) { id.Node = "node-2" },
		"service ID": func(id *catalog.InstanceID) { id.ServiceID = "web-2" },
		"border":     func(id *catalog.InstanceID) { id.Node, id.ServiceID = "Node-1W", "eb-1" },
	} {
		other := id
		change(&other)
		if name.WorkloadEntry(other) == want {
			t.Errorf("the %s is ignored", field)
		}
	}
}

// TestWorkloadEntryNameIsStable verifies that a changed registration keeps its object.
func TestWorkloadEntryNameIsStable(t *testing.T) {
	c := meshtest.Cases()[0]
	before, _ := mesh.Translate(c.Service, c.MeshName(), c.Options)
	for i := range c.Service.Instances {
		instance := &c.Service.Instances[i]
		instance.Address, instance.Port, instance.Tags, instance.Meta = "10.9.9."+strconv.Itoa(i), 1, []string{"a=b"}, nil
		instance.Health, instance.Weights = catalog.Warning, catalog.Weights{Passing: 1, Warning: 7}
	}
	after, _ := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if diff := cmp.Diff(objectNames(before), objectNames(after)); diff != "" {
		t.Error(diff)
	}
	if before.Equal(after) {
		t.Error("Equal ignores the change")
	}
}

func objectNames(resources mesh.Resources) []string {
	var names []string
	for _, object := range resources.Objects {
		names = append(names, string(object.Kind)+"/"+object.Name)
	}
	return names
}

// TestObjectEqual verifies that Equal compares each field.
func TestObjectEqual(t *testing.T) {
	object := func() mesh.Object {
		return mesh.Object{
			Kind: mesh.WorkloadEntryKind, Namespace: "ns", Name: "web.consul",
			Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
			Spec: &networking.WorkloadEntry{Address: "10.0.0.1"},
		}
	}
	if !object().Equal(object()) {
		t.Error("an object differs from its copy")
	}
	for field, change := range map[string]func(*mesh.Object){
		"kind":       func(o *mesh.Object) { o.Kind = mesh.ServiceEntryKind },
		"namespace":  func(o *mesh.Object) { o.Namespace = "other" },
		"name":       func(o *mesh.Object) { o.Name = "other" },
		"label":      func(o *mesh.Object) { o.Labels["a"] = "c" },
		"annotation": func(o *mesh.Object) { delete(o.Annotations, "c") },
		"spec":       func(o *mesh.Object) { o.Spec = &networking.WorkloadEntry{Address: "10.0.0.2"} },
	} {
		changed := object()
		change(&changed)
		if changed.Equal(object()) {
			t.Errorf("the %s is ignored", field)
		}
	}
}

// TestManifest verifies the manifest after a round trip through JSON, with integers as int64.
func TestManifest(t *testing.T) {
	object := mesh.Object{
		Kind: mesh.WorkloadEntryKind, Namespace: "ns", Name: "web-1.consul", Labels: map[string]string{"a": "b"},
		Spec: &networking.WorkloadEntry{Address: "10.0.0.1", Weight: 7},
	}
	got, err := object.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "networking.istio.io/v1",
		"kind":       "WorkloadEntry",
		"metadata":   map[string]any{"name": "web-1.consul", "namespace": "ns", "labels": map[string]any{"a": "b"}},
		"spec":       map[string]any{"address": "10.0.0.1", "weight": int64(7)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}
