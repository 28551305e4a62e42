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
func addressed(memory contract.Store) Options {
	return Options{
		Memory: memory, Rules: Rules{Mesh: meshOptions()},
		Addresses: vip.Options{IPv4: netip.MustParsePrefix("10.9.0.0/28"), Keep: time.Hour},
	}
}

// addresses are those that the mesh should hold, by service.
func addresses(b *Engine) map[string]string {
	all := map[string]string{}
	for _, name := range b.Names() {
		all[name.Label] = fmt.Sprint(mesh.AddressesOf(b.Desired(name).Objects))
	}
	return all
}

// distinct tells whether so many services each have an address of their own.
func distinct(b *Engine, services int) func() bool {
	return func() bool {
		all := slices.Sorted(maps.Values(addresses(b)))
		return len(all) == services && len(slices.Compact(all)) == services && !slices.Contains(all, "[]")
	}
}

// TestAddressesAreTheSameOnEveryReplica holds for replicas that share nothing, whatever the order in which they are told.
func TestAddressesAreTheSameOnEveryReplica(t *testing.T) {
	var first map[string]string
	for _, backwards := range []bool{false, true} {
		source := newScript("consul")
		b := startWith(t, addressed(nil), newMirror(), source)
		for i := range 12 {
			if backwards {
				i = 11 - i
			}
			source.report(reported("consul", fmt.Sprint("s", i), "1"))
		}
		source.complete()
		eventually(t, true, distinct(b, 12))
		eventually(t, true, b.Complete)
		if first == nil {
			first = addresses(b)
		}
		if diff := cmp.Diff(first, addresses(b)); diff != "" {
			t.Errorf("another order gave other addresses:\n%s", diff)
		}
	}
}

// TestAddressesOutliveARestart holds for services that came late, so that a start without memory would give them others;
// and for one that left and comes back.
func TestAddressesOutliveARestart(t *testing.T) {
	memory, source := newDiary(), newScript("consul")
	b, stop := startStoppable(t, addressed(memory), newMirror(), source)
	source.complete()
	eventually(t, true, b.Complete)
	for i := 11; i >= 0; i-- {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
		eventually(t, true, distinct(b, 12-i))
	}
	before := addresses(b)
	source.report(reported("consul", "s3"))
	eventually(t, true, distinct(b, 11))
	stop()

	memory.partly = true
	source = newScript("consul")
	b = startWith(t, addressed(memory), newMirror(), source)
	for i := range 14 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.complete()
	eventually(t, true, distinct(b, 14))
	after := addresses(b)
	for name, had := range before {
		if after[name] != had {
			t.Errorf("%s has %s, had %s", name, after[name], had)
		}
	}
}

// TestTheRestGoesOnWhereARangeIsFull holds that a service too many is served without an address, and gets one once
// another's is given back.
func TestTheRestGoesOnWhereARangeIsFull(t *testing.T) {
	source, options := newScript("consul"), addressed(newDiary())
	options.Addresses.Keep = 0
	b := startWith(t, options, newMirror(), source)
	for i := range 14 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	source.complete()
	eventually(t, true, distinct(b, 14))
	source.report(reported("consul", "late", "1"))
	eventually(t, "[]", func() string { return addresses(b)["late"] })
	had := addresses(b)["s5"]
	source.report(reported("consul", "s5"))
	eventually(t, 14, func() int { return len(addresses(b)) })
	eventually(t, had, func() string { return addresses(b)["late"] })
}
