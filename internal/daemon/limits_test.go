package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/consul"
)

// TestSourceLimits verifies the limits that are derived from the memory, as docs/security.md lists them.
func TestSourceLimits(t *testing.T) {
	const gib = 1 << 30
	for name, test := range map[string]struct {
		limits  config.Limits
		memory  int64
		sources int
		want    consul.Limits
	}{
		"2 GiB": {config.Default().Limits, 2 * gib, 1, consul.Limits{
			Services: 65_536, ResponseBytes: 64 << 20, LargeReads: 2, Reads: 64,
		}},
		"512 MiB, two sources": {config.Default().Limits, gib / 2, 2, consul.Limits{
			Services: 8192, ResponseBytes: 64 << 20, LargeReads: 1, Reads: 64,
		}},
		"set": {config.Limits{MemoryMiB: 1024, Services: 7, ResponseMiB: 1, Reads: 9}, 2 * gib, 1, consul.Limits{
			Services: 7, ResponseBytes: 1 << 20, LargeReads: 8, Reads: 9,
		}},
	} {
		if diff := cmp.Diff(test.want, sourceLimits(test.limits, test.memory, test.sources)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if memoryOf() < 1<<20 {
		t.Errorf("the process has %d bytes of memory", memoryOf())
	}
}
