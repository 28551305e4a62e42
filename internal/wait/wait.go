// Package wait has the two ways in which isthmus waits: for a time, and for a condition. Both end with the context.
package wait

import (
	"context"
	"time"
)

// Sleep waits for d or until ctx ends. It reports whether d has passed.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Until checks a condition at once and then once per interval, until it holds or ctx ends. It reports whether the
// condition held.
func Until(ctx context.Context, interval time.Duration, condition func() bool) bool {
	for !condition() {
		if !Sleep(ctx, interval) {
			return false
		}
	}
	return true
}
