package blocking

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
)

// ReadTimeout bounds a read. Consul looks for a leader for up to 9 s.
const ReadTimeout = 30 * time.Second

// errInterrupted ends a poll because the query must be sent again.
var errInterrupted = errors.New("the query was interrupted")

// ErrRotated means that a request failed with credentials that were replaced meanwhile.
var ErrRotated = errors.New("the credentials have changed")

// Query repeats a blocking query until its context ends.
type Query[T any] struct {
	Spec[T]

	// index is the index of the next request. It is used by Run's goroutine only.
	index uint64
	// failures counts the failures since the last accepted poll. It is used by Run's goroutine only.
	failures int
	// returnedEarly is Response.EarlyReturn of the next response. It is used by Run's goroutine only.
	returnedEarly bool

	// limiter bounds the requests; nil before the first response. It is used by Run's goroutine only.
	limiter *rate.Limiter

	// wake ends the pause between two requests.
	wake wait.Signal

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
func New[T any](spec Spec[T]) *Query[T] { return &Query[T]{Spec: spec, wake: wait.NewSignal()} }

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
		if action.Pause > 0 {
			wait.SleepUntil(ctx, action.Pause, q.wake)
		}
		if q.Entries != nil && !action.keep {
			q.pace(ctx, q.Entries(r.Body))
		}
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
	timed, cancel := client.WithTimeout(conn.Bind(ctx), limit)
	defer cancel()
	start := time.Now()
	r.Body, r.Meta, err = q.Ask(timed, q.Config.Options(q.index, r.Wait))
	r.ReceivedAt = time.Now()
	r.Latency = r.ReceivedAt.Sub(start)
	if err != nil && ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if cause := context.Cause(timed); err != nil && cause != nil {
		err = cause // the error says only that the context has ended
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
	q.wake.Notify()
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
