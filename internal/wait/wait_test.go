package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepWaitsForTheDurationOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if start := time.Now(); !Sleep(ctx, time.Second) || time.Since(start) != time.Second {
			t.Errorf("Sleep returned after %s, want true after 1s", time.Since(start))
		}
		if Sleep(ctx, time.Hour) {
			t.Error("Sleep reports that an hour has passed, although the context ended after a minute")
		}
	})
}

func TestUntilChecksOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		start := time.Now()
		if !Until(t.Context(), time.Second, func() bool { checks++; return checks == 3 }) || time.Since(start) != 2*time.Second {
			t.Errorf("the condition held after %s, want true after 2s", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if Until(ctx, time.Second, func() bool { return false }) {
			t.Error("Until reports a condition that never held")
		}
	})
}
