package blocking

import (
	"context"
	"fmt"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// maxLastContact is how long ago the server of a response may have heard from the leader. A server that has lost the leader
// would answer "no change" forever.
const maxLastContact = 10 * time.Second

// Tolerance is how often an odd response may repeat in a row before it is a failure.
const Tolerance = 3

// Results of a response in the metric isthmus_consul_requests_total.
const (
	ResultOK        = "ok"
	ResultUnchanged = "unchanged"
	ResultDiscarded = "discarded"
	ResultError     = "error"
)

// validate applies the index rules and returns the action.
func (q *Query[T]) validate(ctx context.Context, r Response[T], err error) Action {
	if err != nil {
		q.count(ResultError)
		action := Action{Reason: failure.Classify(err), Err: err}
		if action.Reason == failure.Timeout {
			// Other idle connections may be dead as well, and the next request must not wait for one of them.
			q.Reads.CloseIdle()
			q.Polls.CloseIdle()
		}
		return action
	}
	index := r.Meta.LastIndex
	switch {
	case r.Meta.LastContact > maxLastContact:
		return q.reject(failure.StaleServer, fmt.Errorf("the server has not heard from the leader for %s", r.Meta.LastContact))
	case index <= 1:
		return q.reject(failure.IndexUninitialized, fmt.Errorf("the response has index %d", index))
	case index < r.RequestIndex:
		return q.reject(failure.IndexBackwards, fmt.Errorf("the response has index %d after index %d", index, r.RequestIndex))
	case index == r.RequestIndex && q.Changed(r.Body):
		return q.reject(failure.IndexUnchanged, fmt.Errorf("the response has other content under the same index %d", index))
	case index == r.RequestIndex:
		return q.unchanged(r)
	}
	action := q.Handle(ctx, r)
	if action.Accept || action.Done || action.Reason == failure.None {
		q.count(ResultOK)
	} else {
		q.count(ResultDiscarded)
	}
	return action
}

func (q *Query[T]) count(result string) {
	q.Config.Requests.WithLabelValues(q.Endpoint, result).Inc()
	if result == ResultOK || result == ResultUnchanged {
		q.Config.LastAnswer.SetToCurrentTime()
	}
}

// reject returns the action for a response that cannot be true or complete.
func (q *Query[T]) reject(r failure.Reason, err error) Action {
	q.count(ResultDiscarded)
	return Reject(q.Config, r, err)
}

// Reject counts a rejected response and returns its action.
func Reject(c *Config, r failure.Reason, err error) Action {
	c.Rejected.WithLabelValues(string(r)).Inc()
	return Action{Reason: r, Err: err}
}

// unchanged handles a response with the index of the request. After the wait it means that nothing changed. Before the wait
// is over it means that a restored snapshot has ended the poll, or that something in front of Consul does not block.
func (q *Query[T]) unchanged(r Response[T]) Action {
	if r.Latency >= r.Wait*9/10 {
		q.count(ResultUnchanged)
		q.failures = 0
		return Action{keep: true}
	}
	q.returnedEarly = true
	action := q.reject(failure.NotBlocking, fmt.Errorf("the response came after %s of %s without a change", r.Latency, r.Wait))
	if q.failures < Tolerance {
		q.failures++
		return Action{Pause: Backoff(failure.NotBlocking, q.failures)}
	}
	return action
}

// apply prepares the next request. It returns false if the query must end.
func (q *Query[T]) apply(r Response[T], action *Action) bool {
	switch {
	case action.keep:
		return true
	case action.Accept:
		q.accept(r, action)
		return true
	}
	q.resetIndex()
	if action.Reason == failure.None {
		return true
	}
	q.Config.Failures.Set(q.ID, q.Endpoint, action.Reason, action.Err)
	q.failures++
	action.Pause = Backoff(action.Reason, q.failures)
	return q.OnFailure == nil || q.OnFailure(action.Reason, action.Err)
}

// resetIndex makes the next request a read.
func (q *Query[T]) resetIndex() {
	q.mu.Lock()
	q.index, q.reading = 0, true
	q.mu.Unlock()
}

// accept continues from an accepted response. Only a poll resets the count of failures: a read can succeed although each
// poll fails. A response that is older than an observed index is read again.
func (q *Query[T]) accept(r Response[T], action *Action) {
	index := r.Meta.LastIndex
	q.mu.Lock()
	q.index, q.reading = index, false
	outdated, lower := q.observed > index, index < q.known
	q.known, q.observed = index, 0
	q.mu.Unlock()
	q.returnedEarly = false
	if q.OnIndex != nil {
		q.OnIndex(index, lower)
	}
	if outdated {
		q.Refresh()
	}
	if r.RequestIndex != 0 {
		q.failures = 0
	}
	if action.Reason == failure.None {
		q.Config.Failures.Clear(q.ID)
	} else {
		q.Config.Failures.Set(q.ID, q.Endpoint, action.Reason, action.Err)
	}
}
