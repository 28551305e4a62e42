package mesh

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	kubejson "k8s.io/apimachinery/pkg/util/json"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// The labels and annotations of isthmus.
const (
	// ManagedByLabel and ManagedBy mark the objects of isthmus.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "isthmus"
	// SourceLabel holds the name of the source in the configuration.
	SourceLabel = prefix + "source"
	// ServiceLabel holds the service's name in the mesh.
	ServiceLabel = prefix + "service"
	// TagLabel holds the tag on the objects of a tag's hosts.
	TagLabel = prefix + "tag"
	// PlacementLabel marks a namespace that isthmus created; its value is the Base of the Placement.
	PlacementLabel = prefix + "placement"
	// ServiceAnnotation holds the registered name of the service.
	ServiceAnnotation = prefix + "consul-service"
	// DatacenterAnnotation holds the Consul datacenter.
	DatacenterAnnotation = prefix + "consul-datacenter"
	// NodeAnnotation holds the name of the instance's node.
	NodeAnnotation = prefix + "consul-node"
	// ServiceIDAnnotation holds the ID of the instance.
	ServiceIDAnnotation = prefix + "consul-service-id"
	// SourceAnnotation holds the name of the source that reports an instance of a merged service. It cannot be a label: istiod
	// lets an object's labels override those of its spec, and the ServiceEntry selects by the source.
	SourceAnnotation = prefix + "reported-by"
	// GenerationAnnotation holds Object.Generation if it isn't 0. Only the kube output writes it.
	GenerationAnnotation = prefix + "generation"

	ownDomain = "isthmus-mesh.github.io"
	prefix    = ownDomain + "/"

	// maxAnnotation is the maximum length of an annotation's value in bytes; longer values are omitted. An instance's ID may
	// have 10 kB.
	maxAnnotation = 512
)

// Kind is the kind of a Kubernetes object.
type Kind string

// APIVersion is the API version of all objects of isthmus.
const APIVersion = "networking.istio.io/v1"

const (
	// ServiceEntryKind is Istio's ServiceEntry.
	ServiceEntryKind Kind = "ServiceEntry"
	// WorkloadEntryKind is Istio's WorkloadEntry.
	WorkloadEntryKind Kind = "WorkloadEntry"
	// DestinationRuleKind is Istio's DestinationRule.
	DestinationRuleKind Kind = "DestinationRule"
)

// CreationTime is the creation time of objects that istiod does not read from Kubernetes: the year 2100. If several services
// have the same host, istiod takes the oldest one (SortServicesByCreationTime in its pilot/pkg/model). An object without a
// creation time would be older than every object that a user created.
var CreationTime = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)

// Object is one resource of the mesh, in a form that all outputs can write. It is immutable.
type Object struct {
	Kind        Kind
	Namespace   string
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	// Spec is a *networking.ServiceEntry, WorkloadEntry or DestinationRule, according to Kind.
	Spec proto.Message
	// Generation is the catalog.Service.Generation of a ServiceEntry's service. It has no effect in the mesh, and replicas
	// may differ in it, so objects that differ in nothing else are equal.
	Generation int
}

// Equal reports whether two objects are equal in each field that has an effect in the mesh.
func (o Object) Equal(other Object) bool {
	return o.SameAs(other) &&
		maps.Equal(o.Labels, other.Labels) && maps.Equal(o.Annotations, other.Annotations) &&
		proto.Equal(o.Spec, other.Spec)
}

// SameAs reports whether two objects have the same kind, namespace and name.
func (o Object) SameAs(other Object) bool {
	return o.Kind == other.Kind && o.Namespace == other.Namespace && o.Name == other.Name
}

func (o Object) compareName(other Object) int { return cmp.Compare(o.Name, other.Name) }

// Manifest returns the object in the structure of a Kubernetes manifest: apiVersion, kind, metadata and spec. Integers are
// int64, as in the responses of an API server.
func (o Object) Manifest() (map[string]any, error) {
	raw, err := json.Marshal(o.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", o.Kind, o.Namespace, o.Name, err)
	}
	var spec map[string]any
	if err := kubejson.Unmarshal(raw, &spec); err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", o.Kind, o.Namespace, o.Name, err)
	}
	metadata := map[string]any{"name": o.Name, "namespace": o.Namespace, "labels": anyMap(o.Labels)}
	if len(o.Annotations) > 0 {
		metadata["annotations"] = anyMap(o.Annotations)
	}
	return map[string]any{"apiVersion": APIVersion, "kind": string(o.Kind), "metadata": metadata, "spec": spec}, nil
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func serviceEntryObject(service catalog.Service, name Name, namespace string, spec *networking.ServiceEntry) Object {
	return Object{
		Kind:        ServiceEntryKind,
		Namespace:   namespace,
		Name:        name.ServiceEntry(),
		Labels:      objectLabels(name),
		Annotations: annotations(ServiceAnnotation, service.Name, DatacenterAnnotation, service.Datacenter),
		Spec:        spec,
		Generation:  service.Generation,
	}
}

func workloadEntryObject(name Name, namespace string, e endpoint) Object {
	id := e.instance.ID
	notes := annotations(DatacenterAnnotation, id.Datacenter, NodeAnnotation, id.Node, ServiceIDAnnotation, id.ServiceID)
	if e.instance.Source != "" {
		notes[SourceAnnotation] = e.instance.Source
	}
	return Object{
		Kind:        WorkloadEntryKind,
		Namespace:   namespace,
		Name:        name.WorkloadEntry(e.instance.ID),
		Labels:      objectLabels(name),
		Annotations: notes,
		Spec:        e.entry,
	}
}

// identityLabels returns the labels that are unique to the WorkloadEntries of one service; a ServiceEntry selects by them.
func identityLabels(name Name) map[string]string {
	return map[string]string{SourceLabel: name.Source, ServiceLabel: name.Label}
}

// objectLabels returns the labels of a service's objects.
func objectLabels(name Name) map[string]string {
	labels := identityLabels(name)
	labels[ManagedByLabel] = ManagedBy
	if name.Tag != "" {
		labels[TagLabel] = name.Tag
	}
	return labels
}

// annotations returns annotations of keys and values in turn. It omits empty and long values.
func annotations(pairs ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		if value := validText(pairs[i+1]); value != "" && len(value) <= maxAnnotation {
			out[pairs[i]] = value
		}
	}
	return out
}
