package xds

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// versionLength is the number of bytes of a resource's version, which is written in hexadecimal digits.
const versionLength = 16

var creationTime = timestamppb.New(mesh.CreationTime)

// resource is an encoded object. It is encoded once and never changes.
type resource struct {
	kind mesh.Kind
	// name is "namespace/name", the form that istiod parses.
	name    string
	version string
	// wire is the encoding. The state-of-the-world protocol sends its content, the delta protocol all of it.
	wire *discovery.Resource
	// hash is the part of the resource in the version of its collection.
	hash uint64
}

// encode encodes an object. The version is a hash of the whole resource, so it is the same on every replica and after a
// restart. The spec is encoded unchanged.
func encode(object mesh.Object) (*resource, error) {
	stable := proto.MarshalOptions{Deterministic: true}
	body := &anypb.Any{}
	if err := anypb.MarshalFrom(body, object.Spec, stable); err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	encoded := &mcp.Resource{
		Metadata: &mcp.Metadata{
			Name: object.Namespace + "/" + object.Name, CreateTime: creationTime,
			Labels: object.Labels, Annotations: object.Annotations,
		},
		Body: body,
	}
	metadata, err := stable.Marshal(encoded.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	digest := sha256.New()
	for _, part := range [][]byte{metadata, []byte(body.TypeUrl), body.Value} {
		_ = binary.Write(digest, binary.BigEndian, uint64(len(part))) // a hash never fails
		digest.Write(part)
	}
	sum := digest.Sum(nil)
	encoded.Metadata.Version = hex.EncodeToString(sum[:versionLength])
	wire := &anypb.Any{}
	if err := anypb.MarshalFrom(wire, encoded, stable); err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	return &resource{
		kind: object.Kind, name: encoded.Metadata.Name, version: encoded.Metadata.Version,
		wire: &discovery.Resource{
			Name: encoded.Metadata.Name, Version: encoded.Metadata.Version, Resource: wire,
		},
		hash: binary.BigEndian.Uint64(sum[versionLength:]),
	}, nil
}

// sizeOf returns the approximate size of resources on the wire, in bytes.
func sizeOf(resources []*discovery.Resource) int {
	size := 0
	for _, r := range resources {
		size += len(r.GetResource().GetTypeUrl()) + len(r.GetResource().GetValue())
	}
	return size
}

// size returns the approximate size of the resource on the wire, in bytes.
func (r *resource) size() int { return sizeOf([]*discovery.Resource{r.wire}) }
