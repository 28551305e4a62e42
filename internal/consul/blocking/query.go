// Package blocking repeats a blocking query of Consul and decides which responses can be true.
//
// A query starts with a read: a request without an index, which Consul answers at once with the whole content. It goes on
// with polls: requests with the index of the last response, which Consul holds until something changes or the wait is over.
// Only a read may remove something. These rules decide about a response; the first that matches applies:
//
//	response                                   action    next request    reason
//	-----------------------------------------  --------  --------------  -------------------
//	error                                      fail      read, backoff   (failure.Classify)
//	server has not heard from the leader       reject    read, backoff   stale_server
//	index 0 or 1                               reject    read, backoff   index_uninitialized
//	index below the request's                  reject    read, backoff   index_backwards
//	index of the request, other content        reject    read, backoff   index_unchanged
//	index of the request, after the wait       keep      poll, at once
//	index of the request, before the wait end  reject    read, backoff   not_blocking (*)
//	any other index                            Handle decides: accept, then poll; or read again
//
//	(*) The first three in a row are no failure: a restored snapshot ends each poll that way, once.
//
// Why the index decides:
//
//   - Index 0 or 1 is never content. The streaming backend sends it with an empty body after it has lost its servers, after
//     a restart, and to an unknown token.
//   - A lower index means that Consul has another state because a snapshot was restored. An early response with the index of
//     the request can mean that, too.
//   - A response with the index of the request is a timeout, and its body is not used. The streaming backend sends an empty
//     body with it after the rights of the token were narrowed.
//
// The rules are the same for all queries. Query.Handle applies the rules of one kind of content.
package blocking

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// ReadTimeout bounds a read. Consul looks for a leader for up to 9 s.
const ReadTimeout = 30 * time.Second

// errInterrupted ends a poll because the query must be sent again.
var errInterrupted = errors.New("the query was interrupted")

// ErrRotated means that a request failed with credentials that were replaced meanwhile.
var ErrRotated = errors.New("the credentials have changed")

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
	// Gate waits until a poll may be sent; nil for no gate.
	Gate func(context.Context) error
	// OnIndex is called with the index of each accepted response, and with a flag if it is lower than the one before; nil for
	// no call.
	OnIndex func(index uint64, lower bool)
	// OnFailure is called for each failure. It returns false to end the query. Nil keeps the query running.
	OnFailure func(failure.Reason, error) bool
}

// Query repeats a blocking query until its context ends.
type Query[T any] struct {
	Spec[T]

	// index is the index of the next request. It is used by Run's goroutine only.
	index uint64
	// failures counts the failures since the last accepted poll. It is used by Run's goroutine only.
	failures int
	// returnedEarly is Response.EarlyReturn of the next response. It is used by Run's goroutine only.
	returnedEarly bool

	// wake ends the pause between two requests.
	wake chan struct{}

	// mu guards the fields below. It is a leaf.
	mu sync.Mutex
	// stale means that the next request must be a read.
	stale bool
	// reading means that the next response that counts is that of a read.
	reading bool
	// cancel ends the poll in flight; nil if none is.
	cancel context.CancelCauseFunc
	// known is the index of the last accepted response, 0 for none.
	known uint64
	// observed is the highest index that Observe was called with since; 0 for none.
	observed uint64
}

// New returns a query that has not asked anything.
func New[T any](spec Spec[T]) *Query[T] { return &Query[T]{Spec: spec, wake: make(chan struct{}, 1)} }

// Failures returns the number of failures since the last accepted poll. Only Handle and OnFailure may call it.
func (q *Query[T]) Failures() int { return q.failures }

// Run repeats the query until ctx ends or an Action is Done.
func (q *Query[T]) Run(ctx context.Context) {
	for ctx.Err() == nil {
		r, err := q.send(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errInterrupted) || errors.Is(err, ErrRotated) {
			continue
		}
		action := q.validate(ctx, r, err)
		if action.Done || !q.apply(r, &action) {
			return
		}
		q.sleep(ctx, action.Pause)
	}
}

// send sends one request. Refresh and Interrupt can end it if it is a poll.
func (q *Query[T]) send(parent context.Context) (Response[T], error) {
	ctx, end := q.begin(parent)
	defer end()
	r := Response[T]{RequestIndex: q.index, EarlyReturn: q.returnedEarly}
	pool, limit := q.Reads, ReadTimeout
	if q.index != 0 {
		pool = q.Polls
	}
	if q.index != 0 && q.Gate != nil {
		if err := q.Gate(ctx); err != nil {
			return r, err
		}
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return r, context.Cause(ctx)
	}
	defer func() { pool.Release(conn, err != nil) }()
	if q.index != 0 {
		r.Wait = q.Wait()
		limit = client.Deadline(r.Wait)
	}
	r.Version = q.Config.Version()
	timed, cancel := context.WithTimeout(conn.Bind(ctx), limit)
	defer cancel()
	start := time.Now()
	r.Body, r.Meta, err = q.Ask(timed, q.Config.Options(q.index, r.Wait))
	r.ReceivedAt = time.Now()
	r.Latency = r.ReceivedAt.Sub(start)
	if err != nil && ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if err != nil && q.Config.Rotated(r.Version, err) {
		return r, ErrRotated
	}
	return r, err
}

// begin decides whether the next request is a read. A poll can be ended by others.
func (q *Query[T]) begin(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stale {
		q.index, q.stale = 0, false
		select {
		case <-q.wake:
		default:
		}
	}
	q.reading = q.index == 0
	if !q.reading {
		q.cancel = cancel
	}
	return ctx, func() {
		q.mu.Lock()
		q.cancel = nil
		q.mu.Unlock()
		cancel(nil)
	}
}

// Refresh makes the next request a read, sent at once. A read in flight does not count, because it may be too old.
func (q *Query[T]) Refresh() {
	q.mu.Lock()
	q.stale = true
	select {
	case q.wake <- struct{}{}:
	default:
	}
	q.mu.Unlock()
	q.Interrupt()
}

// Interrupt ends the poll in flight, if there is one. The query sends it again.
func (q *Query[T]) Interrupt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cancel != nil {
		q.cancel(errInterrupted)
	}
}

// Observe is called with the newest index of the same content that another request saw. The content is read again if that
// is not the index of the last accepted response. The response of a read in flight is compared when it arrives.
func (q *Query[T]) Observe(index uint64) {
	q.mu.Lock()
	q.observed = index
	outdated := !q.reading && !q.stale && q.known != index
	q.mu.Unlock()
	if outdated {
		q.Refresh()
	}
}

// Forget makes the query compare the next index with no index, because Consul has another state.
func (q *Query[T]) Forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.known, q.observed = 0, 0
}

func (q *Query[T]) sleep(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.wake:
	case <-ctx.Done():
	}
}
