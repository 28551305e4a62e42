package blocking

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	// PaceRate is the number of requests a second that a query may send in the long run. A rolling update stays below it: it
	// changes a service a few times a second, for a while.
	PaceRate = 5
	// PaceBurst is the number of requests that a query may send at once.
	PaceBurst = 30
	// A response counts once for each entriesPerRequest entries: a large one costs more.
	entriesPerRequest = 1000
	// sharedRate bounds the requests a second of all queries of a source that exceed their own rate.
	sharedRate = 100
	// paceLogInterval is the time between two log lines about paced queries.
	paceLogInterval = time.Minute
)

// MessagePaced is logged when a query exceeds its rate.
const MessagePaced = "query changes with each response, sending it less often"

const hintPaced = "find the checks or registrations that change all the time, or the proxy that does not pass the index to Consul"

// Pacer bounds the requests of the queries of a source whose content changes all the time. Each query has a rate of its own.
// Queries that exceed it also share one rate, so their number does not matter. Other queries never wait.
type Pacer struct {
	log     *slog.Logger
	delayed prometheus.Counter
	shared  *rate.Limiter

	// mu guards loggedAt. It is a leaf.
	mu       sync.Mutex
	loggedAt time.Time
}

// NewPacer returns a pacer. It counts the requests that it delays.
func NewPacer(log *slog.Logger, delayed prometheus.Counter) *Pacer {
	return &Pacer{log: log, delayed: delayed, shared: rate.NewLimiter(sharedRate, sharedRate)}
}

// weight returns how many requests a response with so many entries counts as.
func weight(entries int) int { return min(1+entries/entriesPerRequest, PaceBurst) }

// delay returns how long the next request of a query must wait.
func (p *Pacer) delay(own *rate.Limiter, query string, weight int) time.Duration {
	delay := own.ReserveN(time.Now(), weight).Delay()
	if delay == 0 {
		return 0
	}
	p.delayed.Inc()
	p.mu.Lock()
	logged := time.Since(p.loggedAt) < paceLogInterval
	if !logged {
		p.loggedAt = time.Now()
	}
	p.mu.Unlock()
	if !logged {
		p.log.Warn(MessagePaced, "query", query, "hint", hintPaced)
	}
	return max(delay, p.shared.ReserveN(time.Now(), weight).Delay())
}

// pace waits before the request after a response with so many entries. Nothing ends the wait early: what requests a read of
// the query can happen all the time, too.
func (q *Query[T]) pace(ctx context.Context, entries int) {
	if q.limiter == nil {
		q.limiter = rate.NewLimiter(PaceRate, PaceBurst)
	}
	if delay := q.Config.Pacer.delay(q.limiter, failure.Describe(q.ID, q.Endpoint), weight(entries)); delay > 0 {
		wait.Sleep(ctx, delay)
		// Only a query without changes gets its burst back.
		q.limiter.ReserveN(time.Now(), max(0, int(q.limiter.Tokens())))
	}
}
