package catalog_test

import (
	"slices"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestKinds verifies the names of kinds, and their values in state files.
func TestKinds(t *testing.T) {
	kinds, err := catalog.ParseKinds([]string{"kubernetes_sync", "udp"})
	if err != nil || kinds != 1|8 || !slices.Equal(kinds.Names(), []string{"udp", "kubernetes_sync"}) {
		t.Errorf("%b %q %v", kinds, kinds.Names(), err)
	}
	if kinds, err := catalog.ParseKinds(nil); err != nil || kinds != 0 || kinds.Names() != nil {
		t.Errorf("%b %q %v", kinds, kinds.Names(), err)
	}
	if _, err := catalog.ParseKinds([]string{"UDP"}); err == nil {
		t.Error("an unknown kind is no error")
	}
}
