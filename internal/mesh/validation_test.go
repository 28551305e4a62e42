package mesh_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"unicode/utf8"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// checkResources fails the test if Kubernetes or Istio would reject an object, or if the order is wrong.
func checkResources(t *testing.T, resources mesh.Resources) {
	t.Helper()
	checkService(t, resources.Objects)
	for _, host := range resources.TagHosts {
		checkService(t, host.Objects)
	}
}

// checkService does the same for the objects of a service or of a tag.
func checkService(t *testing.T, objects []mesh.Object) {
	t.Helper()
	for i, object := range objects {
		checkMetadata(t, object)
		checkManifest(t, object)
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			if i != 0 || object.Kind != mesh.ServiceEntryKind {
				t.Errorf("object %d is a ServiceEntry of kind %s", i, object.Kind)
			}
			checkServiceEntry(t, spec)
		case *networking.DestinationRule:
			if i == 0 || object.Kind != mesh.DestinationRuleKind || !slices.Contains(objects[0].Spec.(*networking.ServiceEntry).Hosts, spec.Host) {
				t.Errorf("object %d is a DestinationRule of kind %s for %s", i, object.Kind, spec.Host)
			}
		case *networking.WorkloadEntry:
			if i == 0 || object.Kind != mesh.WorkloadEntryKind {
				t.Errorf("object %d is a WorkloadEntry of kind %s", i, object.Kind)
			}
			checkWorkloadEntry(t, spec)
		default:
			t.Errorf("%s has a %T", object.Name, spec)
		}
	}
	checkOrder(t, objects)
}

func checkOrder(t *testing.T, objects []mesh.Object) {
	t.Helper()
	for i := 2; i < len(objects); i++ { // after the ServiceEntry
		before, object := objects[i-1], objects[i]
		if before.Kind == object.Kind && before.Name >= object.Name || before.Kind == mesh.WorkloadEntryKind && object.Kind == mesh.DestinationRuleKind {
			t.Errorf("%s %s comes before %s %s", before.Kind, before.Name, object.Kind, object.Name)
		}
	}
}

func checkMetadata(t *testing.T, object mesh.Object) {
	t.Helper()
	refused(t, object.Name, validation.IsDNS1123Subdomain(object.Name))
	refused(t, object.Namespace, validation.IsDNS1123Label(object.Namespace))
	checkLabels(t, object.Labels)
	for key := range object.Annotations {
		refused(t, key, validation.IsQualifiedName(key))
	}
}

func checkManifest(t *testing.T, object mesh.Object) {
	t.Helper()
	manifest, err := object.Manifest()
	if err != nil {
		t.Error(err)
		return
	}
	raw, err := json.Marshal(manifest)
	if err != nil || !utf8.Valid(raw) {
		t.Errorf("%s cannot be encoded as JSON: %q, %v", object.Name, raw, err)
	}
}

func checkServiceEntry(t *testing.T, entry *networking.ServiceEntry) {
	t.Helper()
	ports, numbers := map[string]bool{}, map[uint32]bool{}
	for _, port := range entry.Ports {
		if ports[port.Name] || numbers[port.Number] {
			t.Errorf("port %v is a duplicate", port)
		}
		ports[port.Name], numbers[port.Number] = true, true
		refused(t, port.Name, validation.IsDNS1123Label(port.Name))
		refused(t, port.Name, validation.IsValidPortNum(int(port.Number)))
	}
	for _, host := range entry.Hosts {
		refused(t, host, validation.IsDNS1123Subdomain(host))
	}
	if entry.WorkloadSelector != nil && len(entry.Endpoints) > 0 {
		t.Error("the ServiceEntry has both a selector and endpoints")
	}
	for _, endpoint := range entry.Endpoints {
		checkWorkloadEntry(t, endpoint)
		for name := range endpoint.Ports {
			if !ports[name] {
				t.Errorf("endpoint %s has port %q, which is missing in the ServiceEntry", endpoint.Address, name)
			}
		}
		if entry.Resolution == networking.ServiceEntry_STATIC {
			if _, err := netip.ParseAddr(endpoint.Address); err != nil {
				t.Errorf("resolution STATIC: %v", err)
			}
		}
	}
}

func checkWorkloadEntry(t *testing.T, entry *networking.WorkloadEntry) {
	t.Helper()
	if entry.Address == "" || len(entry.Ports) == 0 {
		t.Errorf("endpoint without address or port: %v", entry)
	}
	for name, port := range entry.Ports {
		refused(t, name, validation.IsDNS1123Label(name))
		refused(t, name, validation.IsValidPortNum(int(port)))
	}
	checkLabels(t, entry.Labels)
}

// maxLabels is the maximum number of labels of a WorkloadEntry in Istio's schema.
const maxLabels = 256

func checkLabels(t *testing.T, labels map[string]string) {
	t.Helper()
	if len(labels) > maxLabels {
		t.Errorf("%d labels", len(labels))
	}
	for key, value := range labels {
		refused(t, key, validation.IsQualifiedName(key))
		refused(t, value, validation.IsValidLabelValue(value))
	}
}

// refused fails the test if validation found problems with a text.
func refused(t *testing.T, text string, problems []string) {
	t.Helper()
	for _, problem := range problems {
		t.Errorf("%q: %s", text, problem)
	}
}
