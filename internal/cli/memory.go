package cli

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/engine"
)

// The share of what is in use, in percent, that may come as garbage before it is collected; see GOGC. The reading of a whole
// catalog makes much garbage, and fast.
const (
	readingGC = 50
	restingGC = 25
)

// halvings are the collections that halve the stacks which the start made grow, one after the other: of 20,000 goroutines
// that is 40 MB and more.
const halvings = 2

// rest has the process take less memory once everything was read. From then on little is allocated at a time, while a
// whole catalog is kept: garbage between what is kept takes memory for good. Once all is written too, it gives back what
// the start took and nothing after it: at rest the collector wouldn't come to that for minutes.
func (d *daemon) rest(ctx context.Context) {
	collect := func(percent int) {
		if os.Getenv("GOGC") == "" { // it is the operator's to say
			debug.SetGCPercent(percent)
		}
	}
	incomplete := func(source engine.SourceStatus) bool { return !source.Complete }
	collect(readingGC)
	if !until(ctx, func() bool { return !slices.ContainsFunc(d.bridge.Status(), incomplete) }) {
		return
	}
	collect(restingGC)
	if until(ctx, func() bool { return d.bridge.Ready() == nil }) {
		for range halvings {
			runtime.GC()
		}
		debug.FreeOSMemory()
	}
}

// until looks once a second whether something is so. It returns false when ctx has ended.
func until(ctx context.Context, so func() bool) bool {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}
