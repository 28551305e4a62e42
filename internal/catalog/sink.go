package catalog

import "time"

// A Sink takes what a source reports. Its methods return at once and may be called from any goroutine.
type Sink interface {
	// Update hands on the newest state of one service; observed is when the registry's answer arrived.
	// A service without instances is gone. Updates of one service are handed on in their order.
	Update(service Service, observed time.Time)
	// Synced says that the source has reported what can be known of the registry's content. Until then a service
	// that was not reported is unknown, not absent. It stays so where the source was not shown all names: then whole
	// is false, and Synced is called again once all are known.
	Synced(source string, whole bool)
}
