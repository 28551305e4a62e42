package xds

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// versionLength is the length of a resource's version, in bytes before it is written in hexadecimal digits.
const versionLength = 16

// created is when our objects say that they were created: the year 2100. Of several services with one host istiod takes
// the oldest (SortServicesByCreationTime in its pilot/pkg/model), and without a time ours would be older than anything
// that somebody wrote by hand.
var created = timestamppb.New(time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC))

// resource is an object as it goes over the wire. It is encoded once, and never changed.
type resource struct {
	kind mesh.Kind
	// name is "namespace/name", which is how istiod reads it.
	name    string
	version string
	// wire is what both protocols send: state of the world its content, delta all of it.
	wire *discovery.Resource
	// share is what the resource adds to the version of all resources of its kind.
	share uint64
}

// encode makes the resource of an object. Its version is a hash of all that it holds, so it is the same on every
// replica and after a restart. What an object's spec says is passed on as it is.
func encode(object mesh.Object) (*resource, error) {
	stable := proto.MarshalOptions{Deterministic: true}
	body := &anypb.Any{}
	if err := anypb.MarshalFrom(body, object.Spec, stable); err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	made := &mcp.Resource{
		Metadata: &mcp.Metadata{
			Name: object.Namespace + "/" + object.Name, CreateTime: created,
			Labels: object.Labels, Annotations: object.Annotations,
		},
		Body: body,
	}
	metadata, err := stable.Marshal(made.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	hash := sha256.New()
	for _, part := range [][]byte{metadata, []byte(body.TypeUrl), body.Value} {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part))) // a hash takes everything
		hash.Write(part)
	}
	sum := hash.Sum(nil)
	made.Metadata.Version = hex.EncodeToString(sum[:versionLength])
	wire := &anypb.Any{}
	if err := anypb.MarshalFrom(wire, made, stable); err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	return &resource{
		kind: object.Kind, name: made.Metadata.Name, version: made.Metadata.Version,
		wire: &discovery.Resource{
			Name: made.Metadata.Name, Version: made.Metadata.Version, Resource: wire,
		},
		share: binary.BigEndian.Uint64(sum[versionLength:]),
	}, nil
}

// sizeOf is about what resources take on the wire, in bytes.
func sizeOf(resources []*discovery.Resource) int {
	size := 0
	for _, r := range resources {
		size += len(r.GetResource().GetTypeUrl()) + len(r.GetResource().GetValue())
	}
	return size
}

func (r *resource) size() int { return sizeOf([]*discovery.Resource{r.wire}) }
