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

func TestSleepUntilEndsWithTheFirstEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		woken := NewSignal()
		woken.Notify()
		for name, test := range map[string]struct {
			ctx  context.Context
			wake Signal
			want time.Duration
		}{
			"duration": {t.Context(), NewSignal(), time.Hour},
			"signal":   {t.Context(), woken, 0},
			"context":  {canceled, NewSignal(), 0},
		} {
			start := time.Now()
			if SleepUntil(test.ctx, time.Hour, test.wake); time.Since(start) != test.want {
				t.Errorf("%s: SleepUntil returned after %s, want %s", name, time.Since(start), test.want)
			}
		}
	})
}

func TestEveryRunsOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second+time.Millisecond)
		defer cancel()
		runs := 0
		if Every(ctx, time.Second, func() { runs++ }); runs != 3 {
			t.Errorf("%d runs in 3 seconds, want 3", runs)
		}
	})
}

func TestNotificationsBeforeAReceiveCountAsOne(t *testing.T) {
	s := NewSignal()
	s.Notify()
	s.Notify()
	<-s
	select {
	case <-s:
		t.Error("two notifications woke the receiver twice")
	default:
	}
}
