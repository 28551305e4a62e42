package consul

import (
	"cmp"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

// Limits bounds the memory and the work of a source. A zero value means the default.
type Limits struct {
	// Services is the largest number of services that the source follows.
	Services int
	// Instances is the largest number of instances that the source holds.
	Instances int
	// Bytes is the largest size of the instances that the source holds.
	Bytes int64
	// ResponseBytes bounds a response, except the list of names.
	ResponseBytes int64
	// LargeReads is the largest number of large responses that are decoded at the same time.
	LargeReads int
	// Reads is the largest number of concurrent requests without an index.
	Reads int
}

// Defaults for a source without Limits. The daemon derives them from the memory limit of the process.
const (
	defaultServices   = 100_000
	defaultInstances  = 500_000
	defaultBytes      = 1 << 30
	defaultLargeReads = 4
	// defaultReads bounds the requests without an index: a start or a resync must not overload Consul.
	defaultReads = 64
)

func (l *Limits) setDefaults() {
	l.Services = cmp.Or(l.Services, defaultServices)
	l.Instances = cmp.Or(l.Instances, defaultInstances)
	l.Bytes = cmp.Or(l.Bytes, defaultBytes)
	l.ResponseBytes = cmp.Or(l.ResponseBytes, client.DefaultMaxBytes)
	l.LargeReads = cmp.Or(l.LargeReads, defaultLargeReads)
	l.Reads = cmp.Or(l.Reads, defaultReads)
}

const (
	// minEntryBytes is less than Consul's entry of an instance with a name and an address. It bounds the number of entries
	// of a response.
	minEntryBytes = 512
	// entriesPerResponse is how many of its largest entries fit into a response.
	entriesPerResponse = 8
	// minElementBytes is enough for the decoded form of an entry with many checks.
	minElementBytes = 1 << 20
)

// elements returns the bounds of the entries of a response.
func (l *Limits) elements() jsonstream.ElementLimits {
	return jsonstream.ElementLimits{
		Elements: int(l.ResponseBytes / minEntryBytes), Bytes: max(l.ResponseBytes/entriesPerResponse, minElementBytes),
	}
}
