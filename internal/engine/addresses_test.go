package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// addressed are options with a range so small that services clash all the time.
func addressed(store contract.Store) Options {
	return Options{
		Store: store, Rules: Rules{Mesh: meshOptions()},
		Addresses: vip.Options{IPv4: netip.MustParsePrefix("10.9.0.0/28"), Keep: time.Hour},
	}
}

// addresses are those that the mesh should hold, by service.
func addresses(e *Engine) map[string]string {
	all := map[string]string{}
	for _, name := range e.Names() {
		all[name.Label] = fmt.Sprint(mesh.AddressesOf(e.Desired(name).Objects))
	}
	return all
}

// distinct tells whether so many services each have an address of their own.
func distinct(e *Engine, services int) func() bool {
	return func() bool {
		all := slices.Sorted(maps.Values(addresses(e)))
		return len(all) == services && len(slices.Compact(all)) == services && !slices.Contains(all, "[]")
	}
}

// TestAddressesAreTheSameOnEveryReplica holds for replicas that share nothing, whatever the order in which they are told.
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
		source.complete()
		eventually(t, true, distinct(e, 12))
		eventually(t, true, e.Complete)
		if first == nil {
			first = addresses(e)
		}
		if diff := cmp.Diff(first, addresses(e)); diff != "" {
			t.Errorf("another order gave other addresses:\n%s", diff)
		}
	}
}

// TestAddressesOutliveARestart holds for services that came late, so that a start without store would give them others;
// and for one that left and comes back.
func TestAddressesOutliveARestart(t *testing.T) {
	store, source := newFakeStore(), newFakeSource("consul")
	e, stop := startStoppable(t, addressed(store), newFakeOutput(), source)
	source.complete()
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
	source.complete()
	eventually(t, true, distinct(e, 14))
	after := addresses(e)
	for name, had := range before {
		if after[name] != had {
			t.Errorf("%s has %s, had %s", name, after[name], had)
		}
	}
}

// TestTheRestGoesOnWhereARangeIsFull holds that a service too many is served without an address, and gets one once
// another's is given back.
func TestTheRestGoesOnWhereARangeIsFull(t *testing.T) {
	source, options := newFakeSource("consul"), addressed(newFakeStore())
	options.Addresses.Keep = 0
	e := startWith(t, options, newFakeOutput(), source)
	for i := range 14 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.complete()
	eventually(t, true, distinct(e, 14))
	source.report(reported("consul", "late", "1"))
	eventually(t, "[]", func() string { return addresses(e)["late"] })
	had := addresses(e)["s5"]
	source.report(reported("consul", "s5"))
	eventually(t, 14, func() int { return len(addresses(e)) })
	eventually(t, had, func() string { return addresses(e)["late"] })
}
