package consul

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestRealCatalogsOnServer registers the files of TestRealCatalogs in a real Consul. What the source reports must become
// the same objects and findings, with each version of Consul.
func TestRealCatalogsOnServer(t *testing.T) {
	s := startServer(t, "")
	files, err := filepath.Glob("testdata/catalogs/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".golden.yaml")
			if err != nil {
				t.Fatal(err)
			}
			registrations := readRegistrations(t, file)
			requireFields(t, registrations)
			names := s.load(t, registrations)
			p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Selection: selectionFor(file)})
			p.synced(t)
			testutil.EventuallyContext(t, func(context.Context) error {
				if diff := cmp.Diff(string(want), string(translateCatalog(t, p.reported(names)))); diff != "" {
					return fmt.Errorf("differs from the golden file (-want +got):\n%s", diff)
				}
				return nil
			})
		})
	}
}

// requireFields skips the test if Consul is older than a field of the registrations.
func requireFields(t *testing.T, registrations []api.CatalogRegistration) {
	t.Helper()
	for _, r := range registrations {
		if r.Service.Ports != nil {
			testbed.RequireConsul(t, testbed.ConsulPorts, "named ports")
		}
		if r.Locality != nil || r.Service.Locality != nil {
			testbed.RequireConsul(t, testbed.ConsulLocality, "field Locality")
		}
		if r.Service.Proxy != nil && r.Service.Proxy.Mode != "" {
			testbed.RequireConsul(t, testbed.ConsulTransparentProxy, "transparent proxy")
		}
	}
}

// reported returns the last state of services, as a source with the name "consul" would report it.
func (p *harness) reported(names []string) (services []catalog.Service) {
	for _, name := range names {
		service := p.latest(name)
		service.Key = catalog.Key{Source: "consul", Name: name}
		services = append(services, service)
	}
	return services
}

// load registers the content of a file until the test ends. It returns the names of the services in the order of their
// first registrations.
func (s *server) load(t *testing.T, registrations []api.CatalogRegistration) (names []string) {
	t.Helper()
	known := map[string]bool{}
	for _, r := range registrations {
		if _, err := s.api.Catalog().Register(&r, nil); err != nil {
			t.Fatal(err)
		}
		if !known[r.Service.Service] {
			known[r.Service.Service] = true
			names = append(names, r.Service.Service)
		}
		t.Cleanup(func() {
			if _, err := s.api.Catalog().Deregister(&api.CatalogDeregistration{Node: r.Node}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	return names
}
