package kube

import (
	"strings"
	"testing"
)

// TestReadyBeforeInitialSync verifies that an output is not ready between the moment at which the state is complete
// and the call of Synced.
func TestReadyBeforeInitialSync(t *testing.T) {
	b := newFakeState("ready")
	b.complete = false
	r := start(t, b, nil)
	r.waitReady(t) // The state is not complete, so there is nothing to write.
	b.mu.Lock()
	b.complete = true
	b.mu.Unlock()
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "initial sync not started") {
		t.Errorf("ready before the initial sync: %v", err)
	}
	b.setComplete(true)
	r.waitReady(t)
}
