package daemon

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// Values of GOGC: the amount of garbage, in percent of the live heap, that starts a collection. The initial sync of a
// catalog allocates much, and fast; after it, the process keeps a large heap and allocates little.
const (
	gcPercentDuringSync = 50
	gcPercentSteady     = 25
)

// stackShrinks is the number of collections after the initial sync. Each one halves the stacks that grew during the
// sync; with 20,000 goroutines that returns 40 MB or more.
const stackShrinks = 2

// tuneGC reduces the memory of the process after the initial sync. It lowers GOGC when all sources are complete, because
// garbage between long-lived objects fragments the heap for good. When all outputs are ready too, it collects garbage and
// returns free memory to the system; an idle process would do that minutes later. GOGC in the environment takes
// precedence.
func tuneGC(ctx context.Context, e *engine.Engine) {
	setPercent := func(percent int) {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(percent)
		}
	}
	incomplete := func(source engine.SourceStatus) bool { return !source.Complete }
	limitHeap()
	setPercent(gcPercentDuringSync)
	if !wait.Until(ctx, time.Second, func() bool { return !slices.ContainsFunc(e.Status(), incomplete) }) {
		return
	}
	setPercent(gcPercentSteady)
	if wait.Until(ctx, time.Second, func() bool { return e.Ready() == nil }) {
		for range stackShrinks {
			runtime.GC()
		}
		debug.FreeOSMemory()
	}
}
