package catalog

import "time"

// A Sink receives the reports of a source. Its methods return at once and are safe for concurrent use.
type Sink interface {
	// Update passes on the newest state of one service. The registry's response arrived at observed. A service without
	// instances is gone. Updates of one service must be passed on in order.
	Update(service Service, observed time.Time)
	// Synced reports that the source has read the content of the registry. Before that, a service that was not reported is
	// unknown, not absent. If the source could not list all names, whole is false, unreported services stay unknown, and
	// Synced is called again once all names are known.
	Synced(source string, whole bool)
}
