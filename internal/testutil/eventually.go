// Package testutil has the helpers that the tests of several packages share.
package testutil

import (
	"testing"
	"time"
)

// Timeout is how long Eventually waits. It is generous: a busy machine is slow, not broken.
const Timeout = 60 * time.Second

// Eventually waits until check returns nil, and fails the test with the last error when Timeout has passed.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(Timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not so after %s: %v", Timeout, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
