package kube

// Log messages on which tests rely.
const (
	// MessageInitialSync reports that all services of the first complete state are written.
	MessageInitialSync = "initial sync complete"
	// MessageLeading reports that this replica leads.
	MessageLeading = "lease taken, this replica leads"
	// MessageNotLeading reports that this replica no longer leads.
	MessageNotLeading = "lease lost, this replica no longer leads"
	// MessageUnreachable reports that the API server does not respond to writes.
	MessageUnreachable = "API server unreachable, retrying writes"
	// MessageReachable reports that the API server responds again.
	MessageReachable = "API server reachable again"
	// MessageWriteFailed reports a failure to write a service, once for all services with the same cause.
	MessageWriteFailed = "writing a service failed, retrying"
	// MessageWriteWorks reports that the cause of MessageWriteFailed is gone.
	MessageWriteWorks = "writing a service works again"
	// MessageDriftBackoff reports that drift corrections of a service are delayed.
	MessageDriftBackoff = "another client keeps changing a service, delaying corrections"
	// MessageCrowded reports that a namespace has more services than istiod handles well.
	MessageCrowded = "many services in one namespace, istiod's work grows with services times instances"
)
