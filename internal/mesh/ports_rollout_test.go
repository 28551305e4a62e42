package mesh_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// version is the registration of the instances of one version of a service.
type version struct {
	port int
	meta map[string]string
	// random gives each instance a port of its own.
	random bool
}

// TestPortsDuringARollout bounds how often the ports for callers change while the instances of a service are replaced one by
// one, for any number of instances and any order of starts and stops. Each change costs istiod a full push. It also
// verifies that no WorkloadEntry changes because of other instances.
func TestPortsDuringARollout(t *testing.T) {
	grpc := func(port int) map[string]string { return map[string]string{"gRPC_port": strconv.Itoa(port)} }
	for _, c := range []struct {
		name     string
		old, new version
		// limit is the maximum number of changes.
		limit int
		// least is the minimum number of instances.
		least int
	}{
		{"the same port", version{port: 8080}, version{port: 8080}, 0, 1},
		{"another port", version{port: 8081}, version{port: 8082}, 2, 1},
		{"to a lower port", version{port: 8082}, version{port: 8081}, 2, 1},
		{"to port 80", version{port: 8080}, version{port: 80}, 1, 1},
		{"a named port more", version{port: 8080}, version{port: 8080, meta: grpc(9090)}, 1, 1},
		{"a named port less", version{port: 8080, meta: grpc(9090)}, version{port: 8080}, 1, 1},
		{"another named port", version{port: 8080, meta: grpc(9090)}, version{port: 8080, meta: grpc(9091)}, 2, 1},
		{"both ports", version{port: 8080, meta: grpc(9090)}, version{port: 8081, meta: grpc(9091)}, 2, 1},
		{"random ports", version{random: true}, version{random: true}, 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(40) {
				changes := rollout(t, rand.New(rand.NewPCG(seed, 1)), c.old, c.new, c.least)
				if changes > c.limit {
					t.Fatalf("%d changes of the ports with seed %d, the limit is %d", changes, seed, c.limit)
				}
			}
		})
	}
}

// rollout replaces all instances, and returns how often the ports changed.
func rollout(t *testing.T, rng *rand.Rand, old, new version, least int) (changes int) {
	t.Helper()
	c := meshtest.Cases()[0]
	size := least + rng.IntN(6)
	stopped, started, next := 0, 0, 0
	var instances []catalog.Instance
	start := func(v version) {
		next++
		i := catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "vm-1", ServiceID: fmt.Sprintf("%03d", next)},
			Address: "10.0.0." + strconv.Itoa(next), Port: v.port, Meta: v.meta, Health: catalog.Health(rng.IntN(3)),
		}
		if v.random {
			i.Port = 30000 + next
		}
		instances = append(instances, i)
	}
	for range size {
		start(old)
	}
	before := resourcesOf(c, instances)
	for stopped < size || started < size {
		if stopped == size || started < size && (len(instances) <= least || rng.IntN(2) == 0) {
			started++
			start(new)
		} else {
			stopped++
			instances = instances[1:]
		}
		after := resourcesOf(c, instances)
		if !cmp.Equal(portsOf(before), portsOf(after), protocmp.Transform()) {
			changes++
		}
		workloadsStay(t, before, after)
		before = after
	}
	return changes
}

func resourcesOf(c meshtest.Case, instances []catalog.Instance) mesh.Resources {
	c.Service.Instances = instances
	resources, _ := mesh.Translate(c.Service, c.MeshName(), c.Options)
	return resources
}

func portsOf(r mesh.Resources) []*networking.ServicePort {
	return r.Objects[0].Spec.(*networking.ServiceEntry).Ports
}

// workloadsStay fails the test if an instance that is in both results has different WorkloadEntries.
func workloadsStay(t *testing.T, before, after mesh.Resources) {
	t.Helper()
	known := map[string]mesh.Object{}
	for _, object := range withoutEntry(before) {
		known[object.Name] = object
	}
	for _, object := range withoutEntry(after) {
		if old, ok := known[object.Name]; ok && !old.Equal(object) {
			t.Fatalf("%s changed", object.Name)
		}
	}
}
