// Package failure classifies the failures of requests to Consul, gives a hint for each, and tracks which queries fail.
//
// A failure never removes anything from the catalog. It is visible in the log, in the metric
// isthmus_consul_failing_queries and in the error of Source.Connected.
package failure

// Reason is a kind of failure. Its value is the label "reason" of the metrics.
type Reason string

const (
	// None means that a query does not fail.
	None Reason = ""
	// Unreachable means that a connection cannot be made or broke.
	Unreachable Reason = "unreachable"
	// Timeout means that Consul did not answer a request in time.
	Timeout Reason = "timeout"
	// ServerError is a status of 500 or above.
	ServerError Reason = "server_error"
	// Denied is a status of 401 or 403.
	Denied Reason = "denied"
	// Limited means that Consul refuses another connection.
	Limited Reason = "limited"
	// TooLarge is a response above the size limit.
	TooLarge Reason = "too_large"
	// OverLimit is content that waits because of a limit of the source.
	OverLimit Reason = "over_limit"
	// Unexpected is a response that the API of Consul does not give.
	Unexpected Reason = "unexpected"
	// Anonymous is an empty response that a client without rights gets. It looks like an empty catalog.
	Anonymous Reason = "anonymous"
	// Filtered is a response that ACLs reduced to the part that the token may read.
	Filtered Reason = "filtered"
	// StaleServer is a response of a server that has lost the leader.
	StaleServer Reason = "stale_server"
	// IndexUninitialized is a response with index 0 or 1.
	IndexUninitialized Reason = "index_uninitialized"
	// IndexBackwards is a response with a lower index than the request.
	IndexBackwards Reason = "index_backwards"
	// IndexUnchanged is different content under the index of the request.
	IndexUnchanged Reason = "index_unchanged"
	// NotBlocking is a blocking query that returns at once again and again.
	NotBlocking Reason = "not_blocking"
	// InvalidName is a service name that cannot be part of a request path.
	InvalidName Reason = "invalid_name"
	// BadFilter is a filter expression that Consul rejects.
	BadFilter Reason = "bad_filter"
	// CredentialsUnreadable is a token file or TLS file that is missing, unreadable or invalid.
	CredentialsUnreadable Reason = "credentials_unreadable"
)
