package mesh_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestPlacementIsConstant verifies that placement never changes: a change would move all services to other namespaces.
func TestPlacementIsConstant(t *testing.T) {
	p := mesh.Placement{Base: "consul", Shards: 16}
	got := map[string]string{}
	for _, name := range []mesh.Name{
		{Source: "consul", Label: "web"}, {Source: "consul", Label: "api"}, {Source: "east", Label: "web"},
	} {
		got[name.String()] = p.Namespace(name)
	}
	want := map[string]string{"web.consul": "consul-9", "api.consul": "consul-15", "web.east": "consul-4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPlacementWithoutShards verifies that all services are in one namespace.
func TestPlacementWithoutShards(t *testing.T) {
	p := mesh.Placement{Base: "consul"}
	if got := p.Namespace(mesh.Name{Source: "consul", Label: "web"}); got != "consul" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"consul"}, p.Namespaces()); diff != "" {
		t.Error(diff)
	}
}

// TestPlacementSpreadsEvenly bounds the largest and the smallest namespace, with realistic names.
func TestPlacementSpreadsEvenly(t *testing.T) {
	const each = 200
	for _, shards := range []int{1, 2, 16, 100} {
		p := mesh.Placement{Base: "consul", Shards: shards}
		services := map[string]int{}
		for i := range each * shards {
			services[p.Namespace(mesh.Name{Source: "consul", Label: fmt.Sprintf("team-%d-service-%d", i%7, i)})]++
		}
		namespaces := p.Namespaces()
		if len(namespaces) != shards {
			t.Errorf("%d namespaces for %d shards", len(namespaces), shards)
		}
		for namespace, n := range services {
			if !slices.Contains(namespaces, namespace) {
				t.Errorf("%q is not one of Namespaces", namespace)
			}
			if n > 2*each {
				t.Errorf("%s of %d has %d services, the mean is %d", namespace, shards, n, each)
			}
		}
		for _, namespace := range namespaces {
			if services[namespace] < each/2 {
				t.Errorf("%s of %d has %d services, the mean is %d", namespace, shards, services[namespace], each)
			}
		}
	}
}
