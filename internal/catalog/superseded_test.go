package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestSuperseded verifies that the newest registration of an address and port is the only one that counts.
func TestSuperseded(t *testing.T) {
	at := func(id, address string, port int, modified uint64) catalog.Instance {
		return catalog.Instance{
			ID: catalog.InstanceID{Datacenter: "dc1", Node: "n", ServiceID: id}, Address: address, Port: port, Modified: modified,
		}
	}
	in := func(datacenter string, i catalog.Instance) catalog.Instance {
		i.ID.Datacenter = datacenter
		return i
	}
	for name, test := range map[string]struct {
		instances []catalog.Instance
		want      map[int]int
	}{
		"unique":              {[]catalog.Instance{at("a", "10.0.0.1", 80, 1), at("b", "10.0.0.1", 81, 2), at("c", "10.0.0.2", 80, 3)}, nil},
		"the newest":          {[]catalog.Instance{at("a", "10.0.0.1", 80, 1), at("b", "10.0.0.1", 80, 3), at("c", "10.0.0.1", 80, 2)}, map[int]int{0: 1, 2: 1}},
		"equally new":         {[]catalog.Instance{at("a", "10.0.0.1", 80, 1), at("b", "10.0.0.1", 80, 1)}, map[int]int{1: 0}},
		"other notations":     {[]catalog.Instance{at("a", "2001:DB8:0::1", 80, 1), at("b", "[2001:db8::1]", 80, 2)}, map[int]int{0: 1}},
		"mapped addresses":    {[]catalog.Instance{at("a", "::ffff:10.0.0.1", 80, 2), at("b", "10.0.0.1", 80, 1)}, map[int]int{1: 0}},
		"host names":          {[]catalog.Instance{at("a", "VM-1.example.", 80, 1), at("b", "vm-1.example", 80, 2)}, map[int]int{0: 1}},
		"neither address":     {[]catalog.Instance{at("a", "", 80, 1), at("b", "", 80, 2)}, nil},
		"nor port":            {[]catalog.Instance{at("a", "10.0.0.1", 0, 1), at("b", "10.0.0.1", 0, 2)}, nil},
		"another datacenter":  {[]catalog.Instance{in("dc1", at("a", "10.0.0.1", 80, 1)), in("dc2", at("a", "10.0.0.1", 80, 9))}, map[int]int{1: 0}},
		"ports out of range":  {[]catalog.Instance{at("a", "10.0.0.1", 65536, 1), at("b", "10.0.0.1", 65536, 2)}, nil},
		"a port like another": {[]catalog.Instance{at("a", "10.0.0.1", 80, 1), at("b", "10.0.0.1", 80+1<<16, 2)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, catalog.Group(test.instances).Superseded); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			catalog.MarkEndpoints(test.instances)
			if got := (catalog.Service{Instances: test.instances}).Endpoints(); got != len(test.instances)-len(test.want) {
				t.Errorf("%d endpoints", got)
			}
			for i, instance := range test.instances {
				if _, want := test.want[i]; instance.Superseded != want {
					t.Errorf("instance %d: Superseded is %t", i, instance.Superseded)
				}
			}
		})
	}
}

// TestApplyMarks verifies that a partial report supersedes an instance that it does not show.
func TestApplyMarks(t *testing.T) {
	hidden, shown := instance("n1", "a"), instance("n2", "b")
	hidden.Address, hidden.Port, hidden.Modified = "10.0.0.1", 80, 1
	shown.Address, shown.Port, shown.Modified = "10.0.0.1", 80, 2
	before := catalog.Service{Instances: []catalog.Instance{hidden}}
	got := catalog.Service{Partial: true, Instances: []catalog.Instance{shown}}.Apply(before)
	if !got.Instances[0].Superseded || got.Instances[1].Superseded || before.Instances[0].Superseded {
		t.Errorf("%+v", got.Instances)
	}
}
