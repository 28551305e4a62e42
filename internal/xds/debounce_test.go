package xds

import (
	"testing"
	"time"
)

// TestThrottle verifies the bounds of the throttle: a negligible pause for a small catalog, and a share of one core for a
// large one.
func TestThrottle(t *testing.T) {
	if pause := throttleFor(100 << 10); pause > 5*time.Millisecond {
		t.Errorf("the pause after 100 kB is %s, want at most 5ms", pause)
	}
	if pause := throttleFor(30 << 20); pause < 100*time.Millisecond || pause > time.Second {
		t.Errorf("the pause after 30 MB is %s, want 100ms to 1s", pause)
	}
}
