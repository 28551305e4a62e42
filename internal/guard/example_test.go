package guard_test

import (
	"fmt"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// A single service may leave. A second one within the window exceeds the limit, and both are held until an operator
// releases them.
func Example() {
	g := guard.New(guard.Options{
		Window: time.Minute, Instances: 0.5, FewInstances: 3, Services: 0.1, FewServices: 1,
		Serving: func(i catalog.Instance) bool { return i.Health == catalog.Passing },
	})
	show := func(services []catalog.Service) {
		for _, s := range services {
			fmt.Printf("%s: %d instances\n", s.Name, len(s.Instances))
		}
	}
	now := time.Now()
	for _, name := range []string{"api", "db", "web"} {
		g.Report(now, catalog.Service{
			Key:       catalog.Key{Source: "dc1", Name: name},
			Instances: []catalog.Instance{{ID: catalog.InstanceID{ServiceID: name}, Health: catalog.Passing}},
		})
	}
	g.Synced(now, true)

	show(g.Report(now, catalog.Service{Key: catalog.Key{Source: "dc1", Name: "api"}}))
	show(g.Report(now, catalog.Service{Key: catalog.Key{Source: "dc1", Name: "db"}}))
	hold, _ := g.Hold()
	fmt.Println(hold.Reason)
	fmt.Println("release:")
	show(g.Release())
	// Output:
	// api: 0 instances
	// api: 1 instances
	// db: 1 instances
	// db: 1 instances
	// 2 of 3 instances removed within 1m, 2 of 3 services with all instances
	// release:
	// api: 0 instances
	// db: 0 instances
}
