// Package wait has the ways in which isthmus waits: for a time, for a signal, for a condition, and between the runs of a
// periodic task. All end with the context.
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

// SleepUntil waits for d, for a value from wake, or until ctx ends.
func SleepUntil(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// Every runs a task once per interval until ctx ends. The first run is after one interval. A tick during a run is kept, a
// second one is dropped.
func Every(ctx context.Context, interval time.Duration, task func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			task()
		}
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
