package contract_test

import (
	"context"
	"fmt"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// static is a source whose registry never changes.
type static []string

func (static) Name() string { return "dc1" }

func (s static) Run(ctx context.Context, sink catalog.Sink) error {
	for _, name := range s {
		sink.Update(catalog.Service{
			Key:       catalog.Key{Source: "dc1", Name: name},
			Instances: []catalog.Instance{{Address: "10.0.0.1", Port: 8080, Health: catalog.Passing}},
		}, time.Now())
	}
	sink.Synced("dc1", true)
	<-ctx.Done()
	return nil
}

// printer is a sink that prints each report.
type printer struct{}

func (printer) Update(service catalog.Service, _ time.Time) {
	fmt.Println(service.Name, "has", len(service.Instances), "instance")
}

func (printer) Synced(source string, complete bool) {
	fmt.Println(source, "synced, complete:", complete)
}

// A source reports every service, then that it is synced.
func ExampleSource() {
	var source contract.Source = static{"web", "api"}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = source.Run(ctx, printer{})
	// Output:
	// web has 1 instance
	// api has 1 instance
	// dc1 synced, complete: true
}

// An output embeds a WorkSet, waits for Wake and drains the set. Several changes of one service cost one write.
func ExampleWorkSet() {
	work := contract.NewWorkSet()
	for range 3 {
		work.Notify(mesh.Name{Source: "dc1", Label: "web"})
	}
	work.Notify(mesh.Name{Source: "dc1", Label: "api"})
	<-work.Wake
	for _, name := range work.Drain() {
		fmt.Println("write", name.Label)
	}
	fmt.Println("left:", len(work.Drain()))
	// Output:
	// write api
	// write web
	// left: 0
}
