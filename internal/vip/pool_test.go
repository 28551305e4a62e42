package vip_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func options(ipv4, ipv6 string) vip.Options {
	o := vip.Options{Keep: time.Hour}
	if ipv4 != "" {
		o.IPv4 = netip.MustParsePrefix(ipv4)
	}
	if ipv6 != "" {
		o.IPv6 = netip.MustParsePrefix(ipv6)
	}
	return o
}

// fleet returns n names.
func fleet(n int) []mesh.Name {
	names := make([]mesh.Name, n)
	for i := range names {
		names[i] = mesh.Name{Source: "consul", Label: fmt.Sprintf("service-%d", i)}
	}
	return names
}

// allocate takes addresses for each service, and again for each displaced one, and stores them in have.
func allocate(t *testing.T, p *vip.Pool, have map[mesh.Name][]netip.Addr, names ...mesh.Name) {
	t.Helper()
	names = slices.Clone(names)
	for len(names) > 0 {
		addresses, displaced, err := p.Take(names[0])
		if err != nil {
			t.Fatalf("%s: %v", names[0], err)
		}
		have[names[0]] = addresses
		names = append(names[1:], displaced...)
	}
}

// distinct fails the test if two services have the same address.
func distinct(t *testing.T, have map[mesh.Name][]netip.Addr) {
	t.Helper()
	owners := map[netip.Addr]mesh.Name{}
	for name, addresses := range have {
		for _, a := range addresses {
			if other, taken := owners[a]; taken {
				t.Errorf("%s and %s both have %s", name, other, a)
			}
			owners[a] = name
		}
	}
}

var byValue = cmpopts.EquateComparable(netip.Addr{})

// TestStartIsIndependentOfOrder verifies that the order of reports before Freeze does not change the addresses. The
// range is so small that most services collide.
func TestStartIsIndependentOfOrder(t *testing.T) {
	names := fleet(200)
	var first map[mesh.Name][]netip.Addr
	for round := range 20 {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		p, have := vip.New(options("10.0.0.0/24", "fd00::/120")), map[mesh.Name][]netip.Addr{}
		allocate(t, p, have, names...)
		distinct(t, have)
		if round == 0 {
			first = have
		} else if diff := cmp.Diff(first, have, byValue); diff != "" {
			t.Fatalf("another order of services gives other addresses:\n%s", diff)
		}
	}
}

// TestNewServicesDisplaceNone verifies that services which are added after Freeze leave the others alone.
func TestNewServicesDisplaceNone(t *testing.T) {
	names := fleet(240)
	p, have := vip.New(options("10.0.0.0/24", "")), map[mesh.Name][]netip.Addr{}
	allocate(t, p, have, names[:100]...)
	p.Freeze("consul", noon)
	before := maps.Clone(have)
	for _, newcomer := range names[100:] {
		_, displaced, err := p.Take(newcomer)
		if len(displaced) > 0 || err != nil {
			t.Fatalf("%s displaced %v, %v", newcomer, displaced, err)
		}
	}
	allocate(t, p, have, names[:100]...)
	if diff := cmp.Diff(before, have, byValue); diff != "" {
		t.Errorf("addresses changed:\n%s", diff)
	}
}

// TestFullRange verifies that all addresses but the first and the last of a range are allocated, and that the next
// service gets ErrFull.
func TestFullRange(t *testing.T) {
	p, have, names := vip.New(options("10.0.0.0/24", "fd00::/64")), map[mesh.Name][]netip.Addr{}, fleet(255)
	allocate(t, p, have, names[:254]...)
	distinct(t, have)
	p.Freeze("consul", noon)
	addresses, _, err := p.Take(names[254])
	if !errors.Is(err, vip.ErrFull) || len(addresses) != 1 || !addresses[0].Is6() {
		t.Errorf("service 255: got %v, %v; want an address of the other range and ErrFull", addresses, err)
	}
}

// TestExpiry verifies that the address of a removed service stays reserved for Options.Keep.
func TestExpiry(t *testing.T) {
	p, names := vip.New(options("10.0.0.0/28", "")), fleet(15)
	have := map[mesh.Name][]netip.Addr{}
	allocate(t, p, have, names[:14]...)
	p.Freeze("consul", noon)
	p.Release(names[3], noon)
	almost := noon.Add(time.Hour - 1)
	if gone := p.Expire(almost); len(gone) > 0 {
		t.Errorf("expired within the hour: %v", gone)
	}
	if _, _, err := p.Take(names[14]); !errors.Is(err, vip.ErrFull) {
		t.Errorf("within the hour: %v", err)
	}
	if again, _, _ := p.Take(names[3]); !slices.Equal(again, have[names[3]]) {
		t.Errorf("after its return the service has %v, before %v", again, have[names[3]])
	}
	if gone := p.Expire(noon.Add(time.Hour)); len(gone) > 0 {
		t.Errorf("expired though the services returned: %v", gone)
	}
	p.Release(names[3], noon)
	if gone := p.Expire(noon.Add(time.Hour)); !slices.Equal(gone, names[3:4]) {
		t.Errorf("expired after the hour: %v", gone)
	}
	if other, _, err := p.Take(names[14]); err != nil || !slices.Equal(other, have[names[3]]) {
		t.Errorf("after the hour: %v, %v; want %v", other, err, have[names[3]])
	}
}

// TestRestore verifies that services keep the addresses of an earlier run, and that the first of two services gets an
// address that both had.
func TestRestore(t *testing.T) {
	names := fleet(3)
	p := vip.New(options("10.0.0.0/24", "fd00::/64"))
	seven, outside := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("192.0.2.1")
	if clashes := p.Restore(names[0], []netip.Addr{seven, outside}); len(clashes) > 0 {
		t.Error(clashes)
	}
	if clashes := p.Restore(names[1], []netip.Addr{seven}); !slices.Equal(clashes, []netip.Addr{seven}) {
		t.Errorf("clashes: %v", clashes)
	}
	have := map[mesh.Name][]netip.Addr{}
	allocate(t, p, have, names...)
	distinct(t, have)
	if have[names[0]][0] != seven {
		t.Errorf("the service has %v, before the restart %v", have[names[0]], seven)
	}
	absent := mesh.Name{Source: "consul", Label: "absent"}
	p.Restore(absent, []netip.Addr{netip.MustParseAddr("10.0.0.9")})
	if gone := p.Expire(noon.Add(time.Hour)); len(gone) > 0 {
		t.Errorf("expired before the source reported: %v", gone)
	}
	p.Freeze("consul", noon)
	if gone := p.Expire(noon.Add(time.Hour)); !slices.Equal(gone, []mesh.Name{absent}) {
		t.Errorf("expired an hour after Freeze: %v", gone)
	}
}

func TestCheckRange(t *testing.T) {
	for text, ok := range map[string]bool{
		"244.0.0.0/6": true, "10.96.0.0/16": true, "fd00:1:2:3::/64": true, "10.0.0.0/28": true,
		"10.0.0.1/8": false, "10.0.0.0/29": false, "127.0.0.0/8": false, "0.0.0.0/0": false, "224.0.0.0/8": false,
		"169.254.0.0/16": false, "ff02::/64": false, "fe80::/64": false, "::/64": false, "fd00::/126": false,
	} {
		if err := vip.CheckRange(netip.MustParsePrefix(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCollisionsOfTenThousand bounds how many of 10,000 services have the same first address. Only these can get
// different addresses on replicas without shared state. docs/dns.md has the figures.
func TestCollisionsOfTenThousand(t *testing.T) {
	for _, c := range []struct {
		prefix string
		limit  float64
	}{{"240.240.0.0/16", 1000}, {"241.0.0.0/8", 10}, {"244.0.0.0/6", 3}} {
		clashes := 0
		const rounds = 20
		for round := range rounds {
			wanted := map[netip.Addr]bool{}
			for i := range 10_000 {
				name := mesh.Name{Source: fmt.Sprint("round-", round), Label: fmt.Sprint("service-", i)}
				first, _, err := vip.New(options(c.prefix, "")).Take(name)
				if err != nil {
					t.Fatal(err)
				}
				if wanted[first[0]] {
					clashes++
				}
				wanted[first[0]] = true
			}
		}
		mean := float64(clashes) / rounds
		t.Logf("%s: %.2f of 10,000 services have the first address of another service", c.prefix, mean)
		if mean > c.limit {
			t.Errorf("%s: %.2f collisions, want at most %v", c.prefix, mean, c.limit)
		}
	}
}
