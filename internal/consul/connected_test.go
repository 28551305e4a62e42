package consul

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// TestInTouch verifies that a source detects at once that Consul doesn't answer, before any query fails. It also verifies
// that the source is connected again after its queries recover, and that a service with a failing query of its own does
// not count for long.
func TestInTouch(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	s.registerLasting()
	p := s.watch(t, "", time.Minute)
	touch := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return p.source.Connected(ctx)
	}
	if err := touch(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := touch(time.Second); err == nil {
		t.Error("connected to a stopped server")
	}
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the source is connected again", func() bool { return touch(time.Second) == nil })
	s.Kill()
	if err := touch(time.Second); err == nil {
		t.Error("connected to a server that is gone")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the source is connected again", func() bool { return touch(time.Second) == nil })

	p.source.failures.Set("other", "service", failure.Unexpected, errors.New("made up for a test"))
	if err := touch(10 * time.Second); err == nil {
		t.Error("connected although a query failed a moment ago")
	}
	p.source.mu.Lock()
	p.source.connectedSince = time.Now().Add(-recoveryTime)
	p.source.mu.Unlock()
	if err := touch(10 * time.Second); err != nil {
		t.Error(err)
	}
	p.source.failures.Clear("other")
}

// TestInTouchAtTheStart verifies that a source that can't read reports this when its time is over.
func TestInTouchAtTheStart(t *testing.T) {
	p := newHarness(t)
	p.open(Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.source.Connected(ctx); err == nil {
		t.Error("connected before it runs")
	}
}
