package consul

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

var update = flag.Bool("update", false, "update the golden files")

// TestRealCatalogs verifies the translation of registrations as frameworks and operators write them. Each file in
// testdata/catalogs is an array of bodies for PUT /v1/catalog/register; the golden file beside it has the objects and
// findings of its services.
func TestRealCatalogs(t *testing.T) {
	files, err := filepath.Glob("testdata/catalogs/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			got := translateCatalog(t, file)
			golden := strings.TrimSuffix(file, ".json") + ".golden.yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; run the test with -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// translateCatalog converts and translates all services of a file.
func translateCatalog(t *testing.T, file string) []byte {
	t.Helper()
	services := readCatalog(t, file)
	var names mesh.Names
	for _, name := range slices.Sorted(maps.Keys(services)) {
		names.Add(catalog.Key{Source: "consul", Name: name})
	}
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(services)) {
		key := catalog.Key{Source: "consul", Name: name}
		resources, findings := mesh.Translate(convert(key, "dc1", services[name]), names.Of(key), meshtest.DefaultOptions())
		out = append(out, "# "+name+"\n"...)
		out = append(out, meshtest.Render(t, resources, findings)...)
	}
	return out
}

// readCatalog returns the entries of /v1/health/service by the names of the services. As in Consul, the order of the
// registrations determines ModifyIndex.
func readCatalog(t *testing.T, file string) map[string][]*api.ServiceEntry {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var registrations []api.CatalogRegistration
	if err := json.Unmarshal(raw, &registrations); err != nil {
		t.Fatal(err)
	}
	services := map[string][]*api.ServiceEntry{}
	for i, r := range registrations {
		r.Service.ModifyIndex = uint64(i + 1)
		if r.Service.Weights == (api.AgentWeights{}) {
			r.Service.Weights = api.AgentWeights{Passing: 1, Warning: 1}
		}
		services[r.Service.Service] = append(services[r.Service.Service], &api.ServiceEntry{
			Node: &api.Node{
				Node: r.Node, Address: r.Address, Datacenter: r.Datacenter, TaggedAddresses: r.TaggedAddresses, Meta: r.NodeMeta, Locality: r.Locality,
			},
			Service: r.Service,
			Checks:  r.Checks,
		})
	}
	return services
}
