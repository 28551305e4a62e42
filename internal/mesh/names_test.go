package mesh_test

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func key(name string) catalog.Key { return catalog.Key{Source: "consul", Name: name} }

// labelsOf returns the label of each service in a catalog of these services.
func labelsOf(services ...string) map[string]string {
	var names mesh.Names
	for _, name := range services {
		names.Add(key(name))
	}
	labels := map[string]string{}
	for _, name := range services {
		labels[name] = names.Of(key(name)).Label
	}
	return labels
}

// TestNames verifies the rules of Names.
func TestNames(t *testing.T) {
	const hash = `--[0-9a-f]{20}`
	for rule, want := range map[string]map[string]string{
		"a DNS label is kept":           {"web": "web", "a-1": "a-1", "9": "9", "a--b": "a--b"},
		"invalid characters are dashes": {"Foo_Bar": "foo-bar", "a.b": "a-b", "x/y": "x-y", "A": "a", "_dmarc_": "dmarc"},
		"the first of a collision":      {"Foo_Bar": "foo-bar" + hash, "foo.bar": "foo-bar"},
		"an exact label keeps its name": {"foo-bar": "foo-bar", "Foo_Bar": "foo-bar" + hash, "foo.bar": "foo-bar" + hash},
		"a hashed name is reserved":     {"web--0123456789abcdef0123": "web--0123456789abcdef0123" + hash},
		"consul is reserved":            {"consul-": "consul" + hash, "CONSUL": "consul" + hash, "-consul": "consul" + hash, "consul_": "consul" + hash, "Consul.": "consul" + hash, "consul": "consul" + hash, "consul-x": "consul-x"},
		"no valid character":            {"": "unnamed" + hash, "中文": "unnamed" + hash, "-": "unnamed" + hash},
		"unnamed is a name":             {"unnamed": "unnamed"},
		"maximum length":                {strings.Repeat("x", 63): strings.Repeat("x", 63)},
		"too long":                      {strings.Repeat("x", 64): strings.Repeat("x", 41) + hash},
		"too long, cut at a dash":       {strings.Repeat("x", 40) + "-" + strings.Repeat("x", 40): strings.Repeat("x", 40) + hash},
	} {
		t.Run(rule, func(t *testing.T) {
			for name, got := range labelsOf(slices.Collect(maps.Keys(want))...) {
				if !regexp.MustCompile("^" + want[name] + "$").MatchString(got) {
					t.Errorf("%q is %q, want %q", name, got, want[name])
				}
			}
		})
	}
}

// TestNamesAreConstant verifies that names never change: a change would rename objects and hosts in each mesh.
func TestNamesAreConstant(t *testing.T) {
	want := map[string]string{
		"foo-bar": "foo-bar", "Foo_Bar": "foo-bar--82dfcf6d835a84e2fc60", "foo.bar": "foo-bar--4a360f31f8a27049d10d", "中文": "unnamed--fa602abb1007c1fafe3f",
	}
	if diff := cmp.Diff(want, labelsOf(slices.Collect(maps.Keys(want))...)); diff != "" {
		t.Error(diff)
	}
}

// TestNamesStay verifies that a service keeps its name while others come and go, across restarts too.
func TestNamesStay(t *testing.T) {
	running, newcomer := key("payment_service"), key("payment-service")
	var names mesh.Names
	expect := func(want map[catalog.Key]string) {
		t.Helper()
		for k, label := range want {
			if got := names.Of(k).Label; !regexp.MustCompile("^" + label + "$").MatchString(got) {
				t.Errorf("%q is %q, want %q", k.Name, got, label)
			}
		}
	}
	const hash = "payment-service--[0-9a-f]{20}"
	names.Add(running)
	names.Freeze("consul")
	names.Add(newcomer)
	expect(map[catalog.Key]string{running: "payment-service", newcomer: hash})
	// The newcomer has callers by now: it keeps its name after the other one has left, and when that returns.
	names.Remove(running)
	expect(map[catalog.Key]string{newcomer: hash})
	names.Add(running)
	expect(map[catalog.Key]string{running: "payment-service", newcomer: hash})
	before := map[catalog.Key]mesh.Name{running: names.Of(running), newcomer: names.Of(newcomer)}

	for _, order := range [][]catalog.Key{{running, newcomer}, {newcomer, running}} { // a restart
		names = mesh.Names{}
		for k, name := range before {
			names.Restore(k, name)
		}
		for _, k := range order {
			names.Add(k)
		}
		names.Freeze("consul")
		expect(map[catalog.Key]string{running: "payment-service", newcomer: hash})
	}

	names = mesh.Names{} // the service left while isthmus was away
	names.Restore(running, before[running])
	names.Add(newcomer)
	expect(map[catalog.Key]string{newcomer: hash})
	if changed := names.Freeze("consul"); !cmp.Equal(changed, []catalog.Key{newcomer}) {
		t.Errorf("Freeze returned %v", changed)
	}
	expect(map[catalog.Key]string{newcomer: "payment-service"})

	// A standby that decided otherwise follows the leader.
	if changed := names.Restore(newcomer, before[newcomer]); !cmp.Equal(changed, []catalog.Key{newcomer}) {
		t.Errorf("Restore returned %v", changed)
	}
	names.Restore(running, before[running])
	names.Add(running)
	expect(map[catalog.Key]string{running: "payment-service", newcomer: hash})

	names.Restore(key("other"), before[running]) // forged: not a name of this service
	expect(map[catalog.Key]string{running: "payment-service", key("other"): "other--.*"})
}

// TestNamesIgnoreCase verifies that names which differ in case only are one service.
func TestNamesIgnoreCase(t *testing.T) {
	var names mesh.Names
	names.Add(key("PAYMENT-SERVICE"))
	names.Freeze("consul")
	names.Add(key("payment_service"))
	names.Add(key("Payment-Service"))
	for name, want := range map[string]string{"PAYMENT-SERVICE": "payment-service", "payment-service": "payment-service", "payment_service": "payment-service--"} {
		if got := names.Of(key(name)).Label; !strings.HasPrefix(got, want) || len(got) > len(want) && !strings.HasSuffix(want, "--") {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	if a, b := names.Of(key("PAYMENT_SERVICE")), names.Of(key("payment_service")); a != b {
		t.Errorf("got %v and %v", a, b)
	}
}

// TestSourcesHaveSeparateNames verifies that services of different sources do not collide.
func TestSourcesHaveSeparateNames(t *testing.T) {
	var names mesh.Names
	east, west := catalog.Key{Source: "east", Name: "Web"}, catalog.Key{Source: "west", Name: "web."}
	names.Add(east)
	if changed := names.Add(west); !cmp.Equal(changed, []catalog.Key{west}) {
		t.Errorf("Add returned %v", changed)
	}
	if got, want := names.Of(east), (mesh.Name{Source: "east", Label: "web"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestNamesAddedOrRemovedTwice verifies that repeated calls have no effect.
func TestNamesAddedOrRemovedTwice(t *testing.T) {
	var names mesh.Names
	names.Add(key("a.b"))
	if changed := names.Add(key("a.b")); !cmp.Equal(changed, []catalog.Key{key("a.b")}) {
		t.Errorf("second Add returned %v", changed)
	}
	if changed := names.Remove(key("a_b")); len(changed) != 0 {
		t.Errorf("Remove of an unknown service returned %v", changed)
	}
	if got := names.Of(key("a.b")).Label; got != "a-b" {
		t.Errorf("got %q", got)
	}
}

// TestNamesDependOnTheSetOnly adds and removes services in random order. It verifies that names depend on the current set
// only, that they are unique, and that the returned keys include each change.
func TestNamesDependOnTheSetOnly(t *testing.T) {
	pool := slices.Sorted(maps.Keys(labelsOf(
		"foo-bar", "Foo_Bar", "foo.bar", "foo-bar--0123456789abcdef0123", "foo-bar-0123456789abcdef0123", "a", "A.", "a:", "b",
		"", "-", "中文", "unnamed", "Unnamed.", strings.Repeat("y", 64), strings.Repeat("y", 63)+"-", strings.Repeat("y", 63),
	)))
	for name, label := range labelsOf(pool...) { // names that a service could register to get the name of another
		if name != label {
			pool = append(pool, label)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var names mesh.Names
		present, seen := map[string]bool{}, map[string]mesh.Name{}
		for range 40 {
			step(t, &names, pool[random.IntN(len(pool))], present, seen)
		}
	}
}

// step adds or removes one service, and updates seen for the returned keys only.
func step(t *testing.T, names *mesh.Names, name string, present map[string]bool, seen map[string]mesh.Name) {
	t.Helper()
	var changed []catalog.Key
	if present[name] {
		delete(present, name)
		delete(seen, name)
		changed = names.Remove(key(name))
	} else {
		present[name] = true
		changed = names.Add(key(name))
	}
	for _, k := range changed {
		seen[k.Name] = names.Of(k)
	}
	want, owners := map[string]mesh.Name{}, map[string]string{}
	for name, label := range labelsOf(slices.Collect(maps.Keys(present))...) {
		want[name] = mesh.Name{Source: "consul", Label: label}
		refused(t, label, validation.IsDNS1123Label(label))
		if other, taken := owners[label]; taken {
			t.Errorf("%q and %q are both %q", name, other, label)
		}
		owners[label] = name
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Fatalf("after %q (-want +got):\n%s", name, diff)
	}
}
