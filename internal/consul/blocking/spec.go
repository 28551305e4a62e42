package blocking

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// Config is shared by the queries of one source.
type Config struct {
	// Base returns the options of each request: the datacenter and the token in use.
	Base func() *api.QueryOptions
	// Version returns the version of the credentials in use.
	Version func() int
	// Rotated reports whether a request with credentials of that version failed because they were replaced.
	Rotated func(version int, err error) bool
	// Failures tracks which queries fail.
	Failures *failure.Tracker
	// Requests counts responses by endpoint and result.
	Requests *prometheus.CounterVec
	// Rejected counts rejected responses by reason.
	Rejected *prometheus.CounterVec
	// LastAnswer is the time of the last response without an error.
	LastAnswer prometheus.Gauge
	// Pacer bounds the requests of queries that change all the time.
	Pacer *Pacer
}

// Options returns the options of a read (index 0) or a poll.
//
// A read is consistent, because it may remove something: right after its election a leader answers other reads from a state
// that lacks the newest registrations. A poll never removes anything, and its index prevents older content. So any server
// may answer it, which saves load on the leader; see maxLastContact.
func (c *Config) Options(index uint64, wait time.Duration) *api.QueryOptions {
	q := c.Base()
	q.RequireConsistent = index == 0
	if index != 0 {
		q.WaitIndex, q.WaitTime, q.AllowStale = index, wait, true
	}
	return q
}

// Response is a response of Consul.
type Response[T any] struct {
	// Body is the content.
	Body T
	// Meta has the index and the flags of the response.
	Meta *api.QueryMeta
	// RequestIndex is the index of the request; 0 for a read.
	RequestIndex uint64
	// Version is the version of the credentials of the request.
	Version int
	// Wait is how long Consul was allowed to hold the request.
	Wait time.Duration
	// ReceivedAt is when the response arrived.
	ReceivedAt time.Time
	// Latency is the time between request and response.
	Latency time.Duration
	// EarlyReturn means that a poll before this one returned early without a change, and nothing was accepted since.
	EarlyReturn bool
}

// Action is the decision about a response.
type Action struct {
	// Accept means that the response counts and its index is used for the next poll. Otherwise the next request is a read.
	Accept bool
	// Reason is the failure that the response is or shows. With Accept it is only recorded.
	Reason failure.Reason
	// Err describes the failure.
	Err error
	// Pause is the time before the next request. A failure without Accept has the pause of Backoff.
	Pause time.Duration
	// Done ends the query.
	Done bool

	// keep means that nothing changed: the index stays.
	keep bool
}

// Spec says what a Query asks and how it handles the responses.
type Spec[T any] struct {
	// Config is shared with the other queries of the source.
	Config *Config
	// Endpoint is the name of the query's kind in the metrics.
	Endpoint string
	// ID is the name of the query for failure.Tracker.
	ID string
	// Reads bounds the reads.
	Reads *client.Pool
	// Polls bounds the polls.
	Polls *client.Pool
	// Wait returns how long Consul may hold a poll.
	Wait func() time.Duration
	// Ask sends a request.
	Ask func(context.Context, *api.QueryOptions) (T, *api.QueryMeta, error)
	// Handle decides about a response that passes the index rules.
	Handle func(context.Context, Response[T]) Action
	// Changed reports whether a body differs from the last accepted one.
	Changed func(T) bool
	// Entries returns the number of entries of a body. The rate of the requests is bounded with it, see Pacer; nil if the pauses
	// of Handle bound the rate.
	Entries func(T) int
	// Gate waits until a poll may be sent; nil for no gate.
	Gate func(context.Context) error
	// OnIndex is called with the index of each accepted response, and with a flag if it is lower than the one before; nil for
	// no call.
	OnIndex func(index uint64, lower bool)
	// OnFailure is called for each failure. It returns false to end the query. Nil keeps the query running.
	OnFailure func(failure.Reason, error) bool
}
