package vip_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// A pool gives a service the same address on each replica, and keeps it when other services are added.
func ExamplePool() {
	pool := vip.New(vip.Options{IPv4: netip.MustParsePrefix("244.0.0.0/6"), Keep: time.Hour})
	web, api := mesh.Name{Source: "consul", Label: "web"}, mesh.Name{Source: "consul", Label: "api"}
	first, _, _ := pool.Take(web)
	pool.Freeze("consul", time.Now())
	second, displaced, _ := pool.Take(api)
	again, _, _ := pool.Take(web)
	fmt.Println(first, second, displaced)
	fmt.Println(again)
	// Output:
	// [245.236.97.28] [247.220.143.67] []
	// [245.236.97.28]
}

// A restored service has the addresses of the earlier run.
func ExamplePool_Restore() {
	pool := vip.New(vip.Options{IPv4: netip.MustParsePrefix("10.96.0.0/24")})
	web := mesh.Name{Source: "consul", Label: "web"}
	pool.Restore(web, []netip.Addr{netip.MustParseAddr("10.96.0.7")})
	addresses, _, err := pool.Take(web)
	fmt.Println(addresses, err)
	// Output: [10.96.0.7] <nil>
}
