package daemon

import (
	"cmp"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/consul"
)

// Shares of the memory. docs/performance.md has the measured size of an instance, docs/security.md that of a service.
const (
	// serviceMemory is the memory for each service: its queries and its objects take half of it.
	serviceMemory = 32 << 10
	// decodingShare is the part of the memory for the responses that are decoded.
	decodingShare = 8
	// maxLargeReads is the largest number of large responses that are decoded at the same time.
	maxLargeReads = 8
	// fallbackMemory is the memory of a system that does not tell it.
	fallbackMemory = 4 << 30
	// softLimit is the part of the memory of the container at which the garbage collector works harder.
	softLimit = 0.9
)

// memoryOf returns the memory of the process: GOMEMLIMIT, the limit of the container, or the memory of the machine.
func memoryOf() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 {
		return toInt64(limit)
	}
	if memory, err := memlimit.FromSystem(); err == nil && memory > 0 {
		return toInt64(memory)
	}
	return fallbackMemory
}

func toInt64(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// limitHeap makes the garbage collector work harder before the process reaches the memory limit of its container.
// GOMEMLIMIT in the environment takes precedence.
func limitHeap() {
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(softLimit * float64(toInt64(limit))))
	}
}

// sourceLimits returns the limits of one of several sources.
func sourceLimits(l config.Limits, memory int64, sources int) consul.Limits {
	if l.MemoryMiB > 0 {
		memory = int64(l.MemoryMiB) << 20
	}
	share := memory / int64(sources)
	response := int64(l.ResponseMiB) << 20
	return consul.Limits{
		Services:      cmp.Or(l.Services, int(max(1, share/serviceMemory))),
		ResponseBytes: response,
		LargeReads:    int(min(max(1, share/decodingShare/(2*response)), maxLargeReads)),
		Reads:         l.Reads,
	}
}
