package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// addressed returns options with a range of 14 addresses, so that most services compete for one.
func addressed(store contract.Store) Options {
	return Options{
		Store: store, Rules: Rules{Mesh: meshOptions()},
		Addresses: vip.Options{IPv4: netip.MustParsePrefix("10.9.0.0/28"), Keep: time.Hour},
	}
}

// addresses returns the desired virtual addresses, by service.
func addresses(e *Engine) map[string]string {
	all := map[string]string{}
	for _, name := range e.Names() {
		all[name.Label] = fmt.Sprint(mesh.AddressesOf(e.Desired(name).Objects))
	}
	return all
}

// distinct reports whether the given number of services have distinct addresses.
func distinct(e *Engine, services int) func() bool {
	return func() bool {
		all := slices.Sorted(maps.Values(addresses(e)))
		return len(all) == services && len(slices.Compact(all)) == services && !slices.Contains(all, "[]")
	}
}

// TestAddressesAreTheSameOnEveryReplica verifies that replicas without shared state assign the same addresses, in any order
// of the reports.
func TestAddressesAreTheSameOnEveryReplica(t *testing.T) {
	var first map[string]string
	for _, backwards := range []bool{false, true} {
		source := newFakeSource("consul")
		e := startWith(t, addressed(nil), newFakeOutput(), source)
		for i := range 12 {
			if backwards {
				i = 11 - i
			}
			source.report(reported("consul", fmt.Sprint("s", i), "1"))
		}
		source.sync()
		eventually(t, true, distinct(e, 12))
		eventually(t, true, e.Complete)
		if first == nil {
			first = addresses(e)
		}
		if diff := cmp.Diff(first, addresses(e)); diff != "" {
			t.Errorf("the addresses depend on the order of the reports:\n%s", diff)
		}
	}
}

// TestAddressesSurviveARestart verifies that services keep their addresses across a restart. The services arrive in an order
// that leads to other addresses without a store; one of them leaves and returns.
func TestAddressesSurviveARestart(t *testing.T) {
	store, source := newFakeStore(), newFakeSource("consul")
	e, stop := startStoppable(t, addressed(store), newFakeOutput(), source)
	source.sync()
	eventually(t, true, e.Complete)
	for i := 11; i >= 0; i-- {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
		eventually(t, true, distinct(e, 12-i))
	}
	before := addresses(e)
	source.report(reported("consul", "s3"))
	eventually(t, true, distinct(e, 11))
	stop()

	store.partial = true
	source = newFakeSource("consul")
	e = startWith(t, addressed(store), newFakeOutput(), source)
	for i := range 14 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.sync()
	eventually(t, true, distinct(e, 14))
	after := addresses(e)
	for name, had := range before {
		if after[name] != had {
			t.Errorf("%s has %s, had %s", name, after[name], had)
		}
	}
}

// TestFullRange verifies that a service is served without an address if the range is full, and gets an address when another
// service has left.
func TestFullRange(t *testing.T) {
	source, options := newFakeSource("consul"), addressed(newFakeStore())
	options.Addresses.Keep = 0
	e := startWith(t, options, newFakeOutput(), source)
	for i := range 14 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.sync()
	eventually(t, true, distinct(e, 14))
	source.report(reported("consul", "late", "1"))
	eventually(t, "[]", func() string { return addresses(e)["late"] })
	had := addresses(e)["s5"]
	source.report(reported("consul", "s5"))
	eventually(t, 14, func() int { return len(addresses(e)) })
	eventually(t, had, func() string { return addresses(e)["late"] })
}
