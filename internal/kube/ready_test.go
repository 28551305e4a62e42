package kube

import (
	"strings"
	"testing"
)

// TestReadyBeforeInitialSync holds that an output isn't ready in the moment between the whole content being known and its
// being told so: nothing of it need be written yet.
func TestReadyBeforeInitialSync(t *testing.T) {
	b := newFakeState("ready")
	b.complete = false
	r := start(t, b, nil)
	r.waitReady(t) // for what stands already, and is all that is known
	b.mu.Lock()
	b.complete = true
	b.mu.Unlock()
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "initial sync not started") {
		t.Errorf("ready before the first look at everything: %v", err)
	}
	b.setComplete(true)
	r.waitReady(t)
}
