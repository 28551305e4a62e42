package holdstatus

// Log messages on which tests rely.
const (
	// MessagePublishFailed reports that the ConfigMap can't be written.
	MessagePublishFailed = "writing the ConfigMap of the holds failed, retrying"
	// MessagePublishWorks reports that the ConfigMap is written again.
	MessagePublishWorks = "writing the ConfigMap of the holds works again"
	// MessageEventFailed reports that a Kubernetes event can't be created.
	MessageEventFailed = "creating a Kubernetes event failed"
)
