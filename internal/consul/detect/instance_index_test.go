package detect

import (
	"slices"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestInstanceIndex verifies that an update returns the services that lost an instance to the updated one.
func TestInstanceIndex(t *testing.T) {
	x := newInstanceIndex()
	is := func(ids ...string) []catalog.Instance {
		var all []catalog.Instance
		for _, id := range ids {
			all = append(all, catalog.Instance{ID: catalog.InstanceID{Node: "n", ServiceID: id}})
		}
		return all
	}
	for _, step := range []struct {
		name          string
		before, after []catalog.Instance
		want          []string
	}{
		{"a", nil, is("1", "2"), nil},
		{"b", nil, is("3"), nil},
		{"b", is("3"), is("2", "3"), []string{"a"}},
		{"a", is("1", "2"), is("1"), nil},
		{"a", is("1"), is("1", "2"), []string{"b"}},
		{"b", is("2", "3"), nil, nil},
		{"c", nil, is("3", "2", "1"), []string{"a", "a"}},
	} {
		if got := x.update(step.name, step.before, step.after); !slices.Equal(got, step.want) {
			t.Errorf("%s %v: previous services %q, want %q", step.name, step.after, got, step.want)
		}
	}
}
