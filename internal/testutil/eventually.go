// Package testutil has the helpers that the tests of several packages share.
package testutil

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Timeout is the time that Eventually waits. It is long, because a busy machine is slow.
const Timeout = 2 * time.Minute

// pause is the time between two checks.
const pause = 5 * time.Millisecond

// Eventually waits until check returns nil, and fails the test with the last error when Timeout has passed.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	EventuallyContext(t, func(context.Context) error { return check() })
}

// EventuallyTrue waits until ok returns true, and fails the test with the message when Timeout has passed.
func EventuallyTrue(t testing.TB, message string, ok func() bool) {
	t.Helper()
	Eventually(t, func() error {
		if !ok() {
			return errors.New(message)
		}
		return nil
	})
}

// EventuallyEqual waits until got returns want, and fails the test with the difference when Timeout has passed.
func EventuallyEqual[T any](t testing.TB, want T, got func() T) {
	t.Helper()
	Eventually(t, func() error {
		if diff := cmp.Diff(want, got()); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
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
