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
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

var update = flag.Bool("update", false, "update the golden files")

// TestRealCatalogs verifies the translation of registrations as frameworks and operators write them. Each file in
// testdata/catalogs is an array of bodies for PUT /v1/catalog/register; the golden file beside it has the objects and
// findings of its services. If the name ends in -included, the kinds of instances that are left out by default are included.
func TestRealCatalogs(t *testing.T) {
	files, err := filepath.Glob("testdata/catalogs/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			got := translateCatalog(t, convertCatalog(t, file))
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

// convertCatalog converts and selects all services of a file.
func convertCatalog(t *testing.T, file string) (all []catalog.Service) {
	t.Helper()
	selector := newSelector(selectionFor(file))
	selector.open(&recorder{})
	registered := readCatalog(t, file)
	for _, entries := range registered {
		name := entries[0].Service.Service
		selector.setSidecars(name, sidecarsOf(name, entries), time.Time{})
	}
	for _, entries := range registered {
		key := catalog.Key{Source: "consul", Name: entries[0].Service.Service}
		all = append(all, selector.apply(convert(key, "dc1", entries, "")))
	}
	return all
}

// selectionFor returns the selection that the name of a file stands for.
func selectionFor(file string) (selection Selection) {
	if strings.HasSuffix(file, "-included.json") {
		selection.Kinds = catalog.UDP | catalog.ConnectNative | catalog.ConnectSidecar | catalog.KubernetesSync
	}
	return selection
}

// translateCatalog translates all services of a file. As in the engine, names that differ in case only are one service,
// and the first service that is registered under a name keeps it.
func translateCatalog(t *testing.T, all []catalog.Service) []byte {
	t.Helper()
	var names mesh.Names
	services := map[string]catalog.Service{}
	for _, service := range all {
		key := service.Key
		folded := strings.ToLower(key.Name)
		if other, ok := services[folded]; ok {
			service.Key = other.Key
			service.Instances = append(service.Instances, other.Instances...)
			slices.SortFunc(service.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
			catalog.MarkEndpoints(service.Instances)
		}
		services[folded] = service
		names.Add(key)
		names.Freeze(key.Source)
	}
	var out []byte
	for _, folded := range slices.Sorted(maps.Keys(services)) {
		service := services[folded]
		options := meshtest.DefaultOptions()
		options.TagHosts = []string{"master", "replica", "active", "standby"}
		resources, findings := mesh.Translate(service, names.Of(service.Key), options)
		out = append(out, "# "+service.Name+"\n"...)
		out = append(out, meshtest.Render(t, resources, findings)...)
	}
	return out
}

// readRegistrations returns the content of a file.
func readRegistrations(t *testing.T, file string) (registrations []api.CatalogRegistration) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &registrations); err != nil {
		t.Fatal(err)
	}
	return registrations
}

// readCatalog returns the entries of /v1/health/service for each name, in the order of the first registrations. As in
// Consul, the order of the registrations determines ModifyIndex.
func readCatalog(t *testing.T, file string) (services [][]*api.ServiceEntry) {
	t.Helper()
	at := map[string]int{}
	for i, r := range readRegistrations(t, file) {
		r.Service.ModifyIndex = uint64(i + 1)
		if r.Service.Weights == (api.AgentWeights{}) {
			r.Service.Weights = api.AgentWeights{Passing: 1, Warning: 1}
		}
		if _, known := at[r.Service.Service]; !known {
			at[r.Service.Service] = len(services)
			services = append(services, nil)
		}
		of := &services[at[r.Service.Service]]
		*of = append(*of, &api.ServiceEntry{
			Node: &api.Node{
				Node: r.Node, Address: r.Address, Datacenter: r.Datacenter, TaggedAddresses: r.TaggedAddresses, Meta: r.NodeMeta, Locality: r.Locality,
			},
			Service: r.Service,
			Checks:  r.Checks,
		})
	}
	return services
}
