package consul

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// readTimeout bounds a read without an index. Consul looks for a leader for up to 9 s.
	readTimeout = 30 * time.Second
	// pollSlack is what a held query may take beyond its wait.
	pollSlack = 15 * time.Second
)

// Why a poll was ended by us.
var (
	errRefresh = errors.New("the content must be read again")
	errTurn    = errors.New("the polls take turns from now on")
)

// An answer is what Consul said to one request.
type answer[T any] struct {
	body T
	meta *api.QueryMeta
	// sent is the index of the request, 0 for a read without an index.
	sent uint64
	// edition is that of the credentials that the request was sent with.
	edition int
	// wait is how long Consul was allowed to hold the request.
	wait time.Duration
	// at is when the answer arrived, took how long that was after the request.
	at   time.Time
	took time.Duration
}

// An outcome is what a loop makes of an answer.
type outcome struct {
	// used says that the answer counts; otherwise the next read is without an index.
	used bool
	// kept says that the answer changes nothing, and the index stays as it is.
	kept bool
	// reason is the trouble that the answer is or shows; with used it is only told.
	reason reason
	err    error
	// pause is to be kept before the next request; a trouble's is set by the loop.
	pause time.Duration
	done  bool
}

// A loop keeps one query asked: first without an index, which answers at once with the whole truth (see
// Source.options), then with the last index, which answers when something changed. All rules on Consul's indexes are here:
//
//   - an answer of the index that was sent is a timeout, and its body is not used: the streaming backend
//     answers so with an empty body when the token's rights were narrowed;
//   - index 0 or 1 is never content: the streaming backend answers so with an empty body when it has lost
//     its servers, after a restart and to an unknown token;
//   - an index that goes back means that Consul has another state (a snapshot was restored), and so may an
//     answer of the index that was sent before the wait is over;
//   - after any of these and after any error the next read is without an index.
type loop[T any] struct {
	source *Source
	// endpoint is the query's name in metrics, holder its name among the troubles.
	endpoint, holder string
	reads, polls     *pool
	wait             func() time.Duration
	ask              func(context.Context, *api.QueryOptions) (T, *api.QueryMeta, error)
	// take uses an answer. differs says whether a body is not what was taken last.
	take    func(context.Context, answer[T]) outcome
	differs func(T) bool
	// hold waits until the next query with an index may be sent; nil for at once.
	hold func(context.Context) error
	// learn is told the index of each answer that was used; nil for nobody.
	learn func(index uint64)
	// failed is told every trouble, and may end the loop; nil for none.
	failed func(reason, error) bool

	index    uint64
	failures int
	// woken says that Consul ended a query early, without a change. The next answer's taker clears it.
	woken bool

	mu    sync.Mutex
	stale bool
	// reading says that the next answer that counts is to a read without an index.
	reading bool
	cancel  context.CancelCauseFunc
	wake    chan struct{}
}

// run asks until ctx ends or the loop is done.
func (l *loop[T]) run(ctx context.Context) {
	for ctx.Err() == nil {
		a, err := l.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRefresh) || errors.Is(err, errTurn) || errors.Is(err, errRotated) {
			continue
		}
		o := l.judge(ctx, a, err)
		if o.done || !l.settle(a, &o) {
			return
		}
		l.sleep(ctx, o.pause)
	}
}

// once sends one request, which refresh and interrupt can end if Consul holds it.
func (l *loop[T]) once(parent context.Context) (answer[T], error) {
	ctx, end := l.begin(parent)
	defer end()
	a := answer[T]{sent: l.index}
	slots, limit := l.reads, readTimeout
	if l.index != 0 {
		slots = l.polls
	}
	if l.index != 0 && l.hold != nil {
		if err := l.hold(ctx); err != nil {
			return a, err
		}
	}
	lane, err := slots.acquire(ctx)
	if err != nil {
		return a, context.Cause(ctx)
	}
	defer func() { slots.release(lane, err != nil) }()
	if l.index != 0 {
		a.wait = l.wait()
		limit = a.wait*17/16 + pollSlack
	}
	a.edition, _ = l.source.creds.current()
	timed, cancel := context.WithTimeout(lane.bind(ctx), limit)
	defer cancel()
	start := time.Now()
	a.body, a.meta, err = l.ask(timed, l.source.options(l.index, a.wait))
	a.at = time.Now()
	a.took = a.at.Sub(start)
	if err != nil && ctx.Err() != nil {
		return a, context.Cause(ctx)
	}
	if err != nil && l.source.rotated(a.edition, err) {
		return a, errRotated
	}
	return a, err
}

// begin decides whether the next request has an index, and lets others end it if so.
func (l *loop[T]) begin(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale {
		l.index, l.stale = 0, false
		select {
		case <-l.wake:
		default:
		}
	}
	l.reading = l.index == 0
	if !l.reading {
		l.cancel = cancel
	}
	return ctx, func() {
		l.mu.Lock()
		l.cancel = nil
		l.mu.Unlock()
		cancel(nil)
	}
}

// refresh has the content read again without an index, at once. A read that is under way may be too old.
func (l *loop[T]) refresh() {
	l.mu.Lock()
	l.stale = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
	l.mu.Unlock()
	l.interrupt(errRefresh)
}

// interrupt ends the request that Consul holds, if there is one.
func (l *loop[T]) interrupt(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel(why)
	}
}

func (l *loop[T]) sleep(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
	case <-ctx.Done():
	}
}
