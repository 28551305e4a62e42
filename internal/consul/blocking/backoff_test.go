package blocking

import (
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// TestBackoffGrows verifies that the pause doubles up to half a minute.
func TestBackoffGrows(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 5: 16, 6: 30, 7: 30, 1000: 30} {
		for range 100 {
			got := Backoff(failure.ServerError, failures)
			if got < want*time.Second*8/10 || got > want*time.Second*12/10 {
				t.Fatalf("after %d failures the pause is %s, expected %ds and a fifth", failures, got, want)
			}
		}
	}
}

// TestBackoffOfDeniedQueries verifies that queries wait long if an operator has to act, and that the pauses differ.
func TestBackoffOfDeniedQueries(t *testing.T) {
	for r, want := range map[failure.Reason]time.Duration{failure.Denied: deniedPause, failure.Anonymous: deniedPause, failure.Filtered: filteredPause} {
		seen := map[time.Duration]bool{}
		for range 100 {
			got := Backoff(r, 1)
			if got < want*8/10 || got > want*12/10 {
				t.Fatalf("the pause after %s is %s, expected %s and a fifth", r, got, want)
			}
			seen[got] = true
		}
		if len(seen) < 50 {
			t.Errorf("the pauses after %s have no jitter", r)
		}
	}
}
