package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLoad holds that a start knows what stands: that of ours, by the sources that reported it.
func TestLoad(t *testing.T) {
	const ns = "recall"
	b := newFakeState(ns)
	b.set("web", map[string]string{"1": "v1", "east/2": "v2"})
	b.set("api", map[string]string{"1": "v1"})
	first := start(t, b, nil)
	first.waitReady(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	r := startWithStore(t, newFakeState(ns), nil)
	recollection, err := r.Store().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, service := range recollection.Services {
		for _, instance := range service.Instances {
			got = append(got, fmt.Sprintf("%s %s", service.Key, instance.ID))
		}
	}
	slices.Sort(got)
	want := []string{"consul/api dc1/n1/1", "consul/web dc1/n1/1", "east/web dc1/n1/east/2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if age := time.Since(recollection.Changed); age < 0 || age > time.Minute {
		t.Errorf("it changed %s ago", age)
	}
}
