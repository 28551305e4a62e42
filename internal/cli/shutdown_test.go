package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestShutdownWithAHangingPart verifies that a process ends after its context although a part of it hangs: here the open
// of a FIFO that has no writer.
func TestShutdownWithAHangingPart(t *testing.T) {
	before := shutdownTimeout
	shutdownTimeout = 50 * time.Millisecond
	t.Cleanup(func() { shutdownTimeout = before })
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- Main(ctx, []string{"config", "check", fifo}, &out, &errs) }()
	select {
	case got := <-code:
		t.Fatalf("exit code %d before the end: %s", got, &errs)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	select {
	case got := <-code:
		if got != exitFailure || !strings.Contains(errs.String(), errShutdown.Error()) {
			t.Errorf("exit code %d: %s", got, &errs)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}
