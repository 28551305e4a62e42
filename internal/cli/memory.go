package cli

import (
	"context"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/bridge"
)

// restingGC is the share of what is in use, in percent, that may come as garbage before it is collected; see GOGC. A
// start goes by Go's own 100, for it makes much garbage, and fast.
const restingGC = 25

// rest has the process take less memory once everything was read and written. From then on little is allocated, while a
// whole catalog is kept. It gives back what the start took and nothing after it: at rest the collector wouldn't come to
// that for minutes.
func (d *daemon) rest(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !d.started() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	if os.Getenv("GOGC") == "" { // it is the operator's to say
		debug.SetGCPercent(restingGC)
	}
	debug.FreeOSMemory()
}

// started tells whether everything was read and written once.
func (d *daemon) started() bool {
	incomplete := func(source bridge.SourceStatus) bool { return !source.Complete }
	return !slices.ContainsFunc(d.bridge.Status(), incomplete) && d.bridge.Ready() == nil
}
