package mesh

import "github.com/isthmus-mesh/isthmus/internal/catalog"

// TakesTraffic reports whether an instance is called, by its health and weights.
func (o Options) TakesTraffic(instance catalog.Instance) bool {
	_, takesTraffic := trafficShare(instance, o.PassingOnly)
	return takesTraffic
}

// Serves reports whether an instance is called: it takes traffic, its address and port can be used, and it is
// neither left out, superseded nor a port of another instance.
func (o Options) Serves(instance catalog.Instance) bool {
	var unread report
	_, _, usable := usableAddress(instance, o, &unread)
	return usable && instance.LeftOut == 0 && !instance.Superseded && !instance.AdditionalPort && isPort(instance.Port) && o.TakesTraffic(instance)
}
