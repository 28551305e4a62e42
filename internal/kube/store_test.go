package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLoad verifies that a start knows our live objects, by the sources that reported them.
func TestLoad(t *testing.T) {
	const ns = "load"
	b := newFakeState(ns)
	b.set("web", map[string]string{"1": "v1", "east/2": "v2"})
	b.set("api", map[string]string{"1": "v1"})
	first := start(t, b, nil)
	first.waitReady(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	r := startWithStore(t, newFakeState(ns), nil)
	snapshot, err := r.Store().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, service := range snapshot.Services {
		for _, instance := range service.Instances {
			got = append(got, fmt.Sprintf("%s %s", service.Key, instance.ID))
		}
	}
	slices.Sort(got)
	want := []string{"consul/api dc1/n1/1", "consul/web dc1/n1/1", "east/web dc1/n1/east/2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if age := time.Since(snapshot.Changed); age < 0 || age > time.Minute {
		t.Errorf("changed %s ago", age)
	}
}
