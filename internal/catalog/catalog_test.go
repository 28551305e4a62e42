package catalog_test

import (
	"encoding/json"
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

// TestApply verifies which instances a report removes: a complete one removes all that it lacks, a partial one those of
// the nodes in Seen.
func TestApply(t *testing.T) {
	before := catalog.Service{Datacenter: "dc1", Instances: []catalog.Instance{instance("N1", "a"), instance("n1", "b"), instance("n2", "c")}}
	for name, test := range map[string]struct {
		report catalog.Service
		want   string
	}{
		"complete":                        {catalog.Service{Instances: []catalog.Instance{instance("n1", "a")}}, "n1/a"},
		"partial, empty":                  {catalog.Service{Partial: true}, "N1/a n1/b n2/c"},
		"partial, other case":             {catalog.Service{Partial: true, Instances: []catalog.Instance{instance("n1", "A"), instance("n3", "d")}}, "n1/A n1/b n2/c n3/d"},
		"partial, an empty node was seen": {catalog.Service{Partial: true, Seen: []string{"n1"}}, "n2/c"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, i := range test.report.Apply(before).Instances {
				got += " " + i.ID.Node + "/" + i.ID.ServiceID
			}
			if got != " "+test.want {
				t.Errorf("got%s, want %s", got, test.want)
			}
		})
	}
}

// TestMerge verifies that a merged report has the effect of the two reports one after the other.
func TestMerge(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		before, earlier, later := anyReport(random), anyReport(random), anyReport(random)
		want, got := later.Apply(earlier.Apply(before)), later.Merge(earlier).Apply(before)
		if !reflect.DeepEqual(want.Instances, got.Instances) {
			t.Fatalf("%+v, then %+v, on %+v: got %v one after the other, %v merged", earlier, later, before, want.Instances, got.Instances)
		}
	}
}

// anyReport returns a random report of a few instances, complete or with some nodes seen.
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

// TestCheckFromJSON verifies that checks of earlier builds are readable.
func TestCheckFromJSON(t *testing.T) {
	var got []catalog.Check
	if err := json.Unmarshal([]byte(`["http", {"Type": "grpc", "Port": 9090, "TLS": true}]`), &got); err != nil {
		t.Fatal(err)
	}
	if want := []catalog.Check{{Type: "http"}, {Type: "grpc", Port: 9090, TLS: true}}; !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
