// Package testutil has the helpers that the tests of several packages share.
package testutil

import (
	"context"
	"testing"
	"time"
)

// Timeout is the time that Eventually waits. It is long, because a busy machine is slow.
const Timeout = 60 * time.Second

// pause is the time between two checks.
const pause = 5 * time.Millisecond

// Eventually waits until check returns nil, and fails the test with the last error when Timeout has passed.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	EventuallyContext(t, func(context.Context) error { return check() })
}

// EventuallyContext is Eventually for a check that needs a context. The context ends after Timeout.
func EventuallyContext(t testing.TB, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Timeout) // a cleanup may call it
	defer cancel()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if last == nil || ctx.Err() == nil { // The end of the context hides the cause.
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", Timeout, last)
		case <-time.After(pause):
		}
	}
}
