package mesh_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestRuleMetadata verifies that the first rule that sets a key applies, only to the services that it matches and only to
// the ServiceEntry, and that the registry sets none of the keys.
func TestRuleMetadata(t *testing.T) {
	const waypoint, global, spread = "istio.io/use-waypoint", "istio.io/global", "networking.istio.io/traffic-distribution"
	options := mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", DefaultProtocol: mesh.HTTP, Form: mesh.WorkloadEntryForm,
		Placement: mesh.Placement{Base: "ns", Rules: []mesh.Rule{
			{Services: []string{"web"}, Labels: map[string]string{waypoint: "none"}},
			{Services: []string{"w*"}, Labels: map[string]string{waypoint: "shared", global: "true"}, Annotations: map[string]string{spread: "PreferClose"}},
			{Services: []string{"db"}, Labels: map[string]string{"team": "db"}},
		}},
	}
	service := serviceAt("203.0.113.7")
	service.Instances[0].Meta = map[string]string{waypoint: "mine", "istio.io/use-waypoint-namespace": "mine", spread: "mine"}
	service.Instances[0].Tags = []string{waypoint + "=mine", global + "=mine"}
	resources, _ := mesh.Translate(service, mesh.Name{Source: "dc1", Label: "web"}, options)
	entry, workload := resources.Objects[0], resources.Objects[1]
	want := map[string]string{
		waypoint: "none", global: "true",
		mesh.ManagedByLabel: mesh.ManagedBy, mesh.SourceLabel: "dc1", mesh.ServiceLabel: "web",
	}
	if diff := cmp.Diff(want, entry.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	want = map[string]string{
		spread: "PreferClose", mesh.ServiceAnnotation: "web", mesh.RuleKeysAnnotation: global + "," + waypoint + "," + spread,
	}
	if diff := cmp.Diff(want, entry.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	for key := range workload.Labels {
		if key == waypoint || key == global {
			t.Errorf("the WorkloadEntry has the label %s", key)
		}
	}
}

// TestCheckRuleMetadata verifies the errors of keys and values, which name the fix.
func TestCheckRuleMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		labels, annotations map[string]string
		want                string
	}{
		"valid":                  {map[string]string{"istio.io/use-waypoint": "none", "team": ""}, map[string]string{"example.com/note": "a b"}, ""},
		"own label":              {map[string]string{mesh.SourceLabel: "x"}, nil, "reserved for isthmus"},
		"managed-by":             {map[string]string{mesh.ManagedByLabel: "x"}, nil, "reserved for isthmus"},
		"own annotation":         {nil, map[string]string{mesh.PodAddressAnnotation: "x"}, "reserved for isthmus"},
		"kubectl":                {nil, map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "x"}, "reserved for isthmus or kubectl"},
		"key":                    {map[string]string{"a b": "x"}, nil, "write NAME or DOMAIN/NAME"},
		"empty key":              {nil, map[string]string{"": "x"}, "a key is empty"},
		"value":                  {map[string]string{"team": "a b"}, nil, "is not a label value"},
		"annotation as a label":  {map[string]string{"networking.istio.io/traffic-distribution": "PreferClose"}, nil, "move it to annotations"},
		"label as an annotation": {nil, map[string]string{"istio.io/use-waypoint": "x"}, "move it to labels"},
		"long annotation":        {nil, map[string]string{"note": strings.Repeat("x", 2000)}, "has 2000 bytes, at most 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			err := mesh.CheckRuleLabels(test.labels)
			if err == nil {
				err = mesh.CheckRuleAnnotations(test.annotations)
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
