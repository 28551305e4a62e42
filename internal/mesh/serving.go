package mesh

import "github.com/isthmus-mesh/isthmus/internal/catalog"

// TakesTraffic tells whether an instance is called, by its health and weights.
func (o Options) TakesTraffic(instance catalog.Instance) bool {
	_, takesTraffic := trafficShare(instance, o.PassingOnly)
	return takesTraffic
}
