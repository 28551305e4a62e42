package consul

import (
	"context"
	"fmt"
	"time"
)

// maxStale is how long ago a server that answers may have heard from the leader. A server that is cut off would else
// answer "nothing new" for ever.
const maxStale = 10 * time.Second

// patience is how often something odd may happen in a row before it counts.
const patience = 3

// judge decides whether an answer may be used, by its index, and has it used.
func (l *loop[T]) judge(ctx context.Context, a answer[T], err error) outcome {
	if err != nil {
		l.count("error")
		o := outcome{reason: classify(err), err: err}
		if o.reason == hung {
			// The connections that are idle now may be as dead, and the next request must not wait for one.
			l.reads.close()
			l.polls.close()
		}
		return o
	}
	got := a.meta.LastIndex
	switch {
	case a.meta.LastContact > maxStale:
		return l.discard(outdated, fmt.Errorf("the server that answered has not heard from the leader for %s", a.meta.LastContact))
	case got <= 1:
		return l.discard(indexOne, fmt.Errorf("it answered with index %d", got))
	case got < a.sent:
		return l.discard(indexBack, fmt.Errorf("it answered with index %d after index %d", got, a.sent))
	case got == a.sent && l.differs(a.body):
		return l.discard(indexEqual, fmt.Errorf("it answered with another content under the same index %d", got))
	case got == a.sent:
		return l.unchanged(a)
	}
	o := l.take(ctx, a)
	if o.used || o.done || o.reason == none {
		l.count("ok")
	} else {
		l.count("discarded")
	}
	return o
}

func (l *loop[T]) count(result string) {
	l.source.metrics.requests.WithLabelValues(l.endpoint, result).Inc()
	if result == "ok" || result == "unchanged" {
		l.source.metrics.lastAnswer.SetToCurrentTime()
	}
}

// discard is an answer that can't be the truth, or not the whole of it.
func (l *loop[T]) discard(r reason, err error) outcome {
	l.count("discarded")
	l.source.metrics.discarded.WithLabelValues(string(r)).Inc()
	return outcome{reason: r, err: err}
}

// unchanged is a query that timed out: nothing is known now that was not known before. One that came too
// early did not time out: a restored snapshot ends what is held so, with the old index and the old content.
func (l *loop[T]) unchanged(a answer[T]) outcome {
	if a.took >= a.wait*9/10 {
		l.count("unchanged")
		l.failures = 0
		return outcome{kept: true}
	}
	l.count("discarded")
	l.woken = true
	l.source.metrics.discarded.WithLabelValues(string(unheld)).Inc()
	if l.failures < patience {
		l.failures++
		return outcome{pause: delay(unheld, l.failures)}
	}
	return outcome{reason: unheld, err: fmt.Errorf("it answered after %s of %s without a change", a.took, a.wait)}
}

// settle keeps what an outcome means for the next request. It returns false when the loop is over.
func (l *loop[T]) settle(a answer[T], o *outcome) bool {
	switch {
	case o.kept:
		return true
	case o.used:
		l.use(a, o)
		return true
	}
	l.forget()
	if o.reason == none {
		return true
	}
	l.source.troubles.set(l.holder, l.endpoint, o.reason, o.err)
	l.failures++
	o.pause = delay(o.reason, l.failures)
	return l.failed == nil || l.failed(o.reason, o.err)
}

// forget has the next request be a read without an index.
func (l *loop[T]) forget() {
	l.mu.Lock()
	l.index, l.reading = 0, true
	l.mu.Unlock()
}

// use goes on from an answer that was taken. Only one that Consul held proves that the worst is over: a
// read without an index succeeds also where every query with one fails.
func (l *loop[T]) use(a answer[T], o *outcome) {
	l.mu.Lock()
	l.index, l.reading = a.meta.LastIndex, false
	l.mu.Unlock()
	if l.learn != nil {
		l.learn(l.index)
	}
	if a.sent != 0 {
		l.failures = 0
	}
	if o.reason == none {
		l.source.troubles.clear(l.holder)
	} else {
		l.source.troubles.set(l.holder, l.endpoint, o.reason, o.err)
	}
}
