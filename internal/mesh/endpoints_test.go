package mesh

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestTrafficShare verifies the weights for each health.
func TestTrafficShare(t *testing.T) {
	for _, test := range []struct {
		health      catalog.Health
		weights     catalog.Weights
		passingOnly bool
		weight      uint32
		takes       bool
	}{
		{catalog.Passing, catalog.Weights{Passing: 10, Warning: 1}, false, 10, true},
		{catalog.Passing, catalog.Weights{Passing: 10, Warning: 1}, true, 10, true},
		{catalog.Passing, catalog.Weights{}, false, 1, true},
		{catalog.Passing, catalog.Weights{Passing: -1}, false, 1, true},
		{catalog.Passing, catalog.Weights{Passing: 1 << 40}, false, maxWeight, true},
		{catalog.Warning, catalog.Weights{Passing: 10, Warning: 2}, false, 2, true},
		{catalog.Warning, catalog.Weights{Passing: 10, Warning: 2}, true, 0, false},
		{catalog.Warning, catalog.Weights{Passing: 10}, false, 0, false},
		{catalog.Warning, catalog.Weights{Passing: 10, Warning: -1}, false, 0, false},
		{catalog.Critical, catalog.Weights{Passing: 10, Warning: 2}, false, 0, false},
		{catalog.Maintenance, catalog.Weights{Passing: 10, Warning: 2}, false, 0, false},
		{catalog.Health(99), catalog.Weights{Passing: 10, Warning: 2}, false, 0, false},
	} {
		instance := catalog.Instance{Health: test.health, Weights: test.weights}
		weight, takes := trafficShare(instance, test.passingOnly)
		if weight != test.weight || takes != test.takes {
			t.Errorf("%s %+v, passing only %t: %d, %t", test.health, test.weights, test.passingOnly, weight, takes)
		}
	}
}
