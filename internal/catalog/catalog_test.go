package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

func instance(node, id string) catalog.Instance {
	return catalog.Instance{ID: catalog.InstanceID{Node: node, ServiceID: id}}
}

// TestPartialReports holds what a report removes: a whole one all that it lacks, a partial one what was on a node that
// was seen.
func TestPartialReports(t *testing.T) {
	before := catalog.Service{Datacenter: "dc1", Instances: []catalog.Instance{instance("N1", "a"), instance("n1", "b"), instance("n2", "c")}}
	for name, test := range map[string]struct {
		report catalog.Service
		want   string
	}{
		"a whole one":                       {catalog.Service{Instances: []catalog.Instance{instance("n1", "a")}}, "n1/a"},
		"a partial one without anything":    {catalog.Service{Partial: true}, "N1/a n1/b n2/c"},
		"a partial one, whatever the case":  {catalog.Service{Partial: true, Instances: []catalog.Instance{instance("n1", "A"), instance("n3", "d")}}, "n1/A n1/b n2/c n3/d"},
		"what was seen to be empty is gone": {catalog.Service{Partial: true, Seen: []string{"n1"}}, "n2/c"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, i := range test.report.Apply(before).Instances {
				got += " " + i.ID.Node + "/" + i.ID.ServiceID
			}
			if got != " "+test.want {
				t.Errorf("it comes to%s, expected %s", got, test.want)
			}
		})
	}
}

// TestReportsInARow holds that two reports in one say what they say one after the other.
func TestReportsInARow(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		before, earlier, later := anyReport(random), anyReport(random), anyReport(random)
		want, got := later.Apply(earlier.Apply(before)), later.Merge(earlier).Apply(before)
		if !reflect.DeepEqual(want.Instances, got.Instances) {
			t.Fatalf("%+v, then %+v, on %+v comes to %v, and in one to %v", earlier, later, before, want.Instances, got.Instances)
		}
	}
}

// anyReport makes a report of a few instances on a few nodes, of which it has seen some.
func anyReport(random *rand.Rand) (s catalog.Service) {
	s.Partial = random.IntN(3) > 0
	for n := range 3 {
		node := fmt.Sprint("n", n)
		for _, id := range []string{"a", "b"} {
			if random.IntN(2) == 0 {
				s.Instances = append(s.Instances, instance(node, id))
			}
		}
		if s.Partial && random.IntN(2) == 0 {
			s.Seen = append(s.Seen, node)
		}
	}
	slices.SortFunc(s.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	return s
}
