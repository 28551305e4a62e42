package xds

import (
	"context"
	"time"
)

const (
	// A push waits until nothing has come for quiet, so that a burst is one push, but no longer than patience.
	quiet    = time.Millisecond
	patience = 5 * time.Millisecond
	// perByte is how long the next push waits for each byte that was sent since, to all clients together. istiod knows state
	// of the world only, so a push is the whole catalog; a byte of it costs about 1 ns of CPU (BenchmarkPush), and as
	// much again to send.
	perByte = 5 * time.Nanosecond
)

// pause is how long to wait after so many bytes. It keeps what pushing costs below a share of a core, whatever the size of the
// catalog and the number of clients.
func pause(bytes int) time.Duration { return time.Duration(bytes) * perByte }

// gather waits for the end of a burst.
func (o *Output) gather(ctx context.Context) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		still := time.NewTimer(quiet)
		select {
		case <-o.Wake:
			still.Stop()
		case <-still.C:
			return
		case <-deadline.C:
			still.Stop()
			return
		case <-ctx.Done():
			still.Stop()
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
