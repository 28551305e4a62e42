package xds

import (
	"context"
	"time"
)

const (
	// debounceAfter is how long a push waits after the latest change, so that a burst is one push.
	debounceAfter = time.Millisecond
	// debounceMax is the longest time that a push waits for the end of a burst.
	debounceMax = 5 * time.Millisecond
	// throttlePerByte is how long the next push waits for each byte that has been sent, to all clients together. istiod uses
	// the state-of-the-world protocol, so a push is the whole catalog. A byte costs about 1 ns of CPU to encode
	// (BenchmarkPush), and about the same to send.
	throttlePerByte = 5 * time.Nanosecond
)

// throttleFor returns how long the next push waits after this number of bytes. It limits the cost of pushes to a share of
// one core, whatever the size of the catalog and the number of clients.
func throttleFor(bytes int) time.Duration { return time.Duration(bytes) * throttlePerByte }

// debounce waits for the end of a burst of changes.
func (o *Output) debounce(ctx context.Context) {
	deadline := time.NewTimer(debounceMax)
	defer deadline.Stop()
	for {
		idle := time.NewTimer(debounceAfter)
		select {
		case <-o.Wake:
			idle.Stop()
		case <-idle.C:
			return
		case <-deadline.C:
			idle.Stop()
			return
		case <-ctx.Done():
			idle.Stop()
			return
		}
	}
}
