package client

import (
	"context"
	"time"
)

// timeout ends a request after a time that can be extended.
type timeout struct {
	timer *time.Timer
}

type timeoutKey struct{}

// WithTimeout returns a context that ends after the limit with the cause context.DeadlineExceeded. Reading a body can
// extend the limit: the time for which a client waits before it decodes a response is not Consul's.
func WithTimeout(parent context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	t := &timeout{timer: time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })}
	return context.WithValue(ctx, timeoutKey{}, t), func() {
		t.timer.Stop()
		cancel(nil)
	}
}

// timeoutOf returns the timeout of a request; nil if it has none.
func timeoutOf(ctx context.Context) *timeout {
	t, _ := ctx.Value(timeoutKey{}).(*timeout)
	return t
}

// extend lets the request take at least this much longer from now.
func (t *timeout) extend(by time.Duration) {
	if t != nil && t.timer.Stop() {
		t.timer.Reset(by)
	}
}

// decodeTimeout is the time that the rest of a request may take after WithoutTimeout.
const decodeTimeout = 30 * time.Second

// WithoutTimeout calls a function that waits for this process while it reads a body. The time does not count.
func WithoutTimeout(ctx context.Context, f func() error) error {
	t := timeoutOf(ctx)
	if t == nil || !t.timer.Stop() {
		return f()
	}
	defer t.timer.Reset(decodeTimeout)
	return f()
}
