package xds

import (
	"fmt"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// BenchmarkPush measures the cost of one changed service among 10,000: the resource of the service is encoded, and the
// response with all resources is encoded once per istiod.
func BenchmarkPush(b *testing.B) {
	const services = 10_000
	snapshot, store := newSnapshot(0), newStore()
	typical := meshtest.Cases()[1]
	resources, _ := mesh.Translate(typical.Service, typical.MeshName(), typical.Options)
	objects := func(n int) []mesh.Object {
		object := resources.Objects[0]
		object.Name = fmt.Sprintf("s-%d.consul", n%services)
		object.Annotations = map[string]string{"edition": fmt.Sprint(n)}
		return []mesh.Object{object}
	}
	change := func(n int) {
		set, gone, _, err := snapshot.replace(nameOf(fmt.Sprint("s-", n%services)), objects(n), time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		store.publish(set, gone)
	}
	for n := range services {
		change(n)
	}
	c := store.collections[mesh.ServiceEntryKind]
	n := services
	for b.Loop() {
		change(n)
		n++
		wire, err := proto.Marshal(&discovery.DiscoveryResponse{VersionInfo: c.version(), TypeUrl: entryType, Resources: c.all()})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(wire)))
	}
}
