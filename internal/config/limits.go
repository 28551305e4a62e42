package config

// Limits bounds the memory and the work that registrations cause.
type Limits struct {
	MemoryMiB        int `json:"memoryMiB" doc:"Memory in MiB from which the limits with the value 0 are derived. 0: GOMEMLIMIT, then the memory limit of the container, then the memory of the machine."`
	Services         int `json:"services" doc:"Maximum number of services of each source. Above it, new services wait and the others stay. 0: one for each 32 KiB of memory, divided by the number of sources."`
	ResponseMiB      int `json:"responseMiB" doc:"Maximum size in MiB of a response with the instances of a service, uncompressed and decoded. A service with a larger response keeps its last known state. The list of services has no limit."`
	Objects          int `json:"objects" doc:"Maximum number of objects (ServiceEntries, WorkloadEntries and DestinationRules). Above it, new services wait, the largest longest, and existing objects stay. A new service may use nine tenths of it. 0: no limit. The default holds for all outputs except xds."`
	ObjectsPerSource int `json:"objectsPerSource" doc:"The same for each source, or for each group of merged sources. 0: no limit."`
	Reads            int `json:"reads" doc:"Maximum number of concurrent reads of each source over HTTPS. Over plain HTTP, it is also at most a tenth of connections."`
}

// defaultObjects is the default of limits.objects. An API server needs about 71 kB of memory for a WorkloadEntry, so these
// take 3.6 GB.
const defaultObjects = 50_000

// defaultLimits returns the defaults. docs/security.md gives the reasons.
func defaultLimits() Limits { return Limits{ResponseMiB: 64, Objects: defaultObjects, Reads: 64} }

func (l Limits) validate(found *problems) {
	const most = 1 << 30
	found.within("limits.memoryMiB", l.MemoryMiB, 0, most)
	found.within("limits.services", l.Services, 0, most)
	found.within("limits.responseMiB", l.ResponseMiB, 1, 1024)
	found.within("limits.objects", l.Objects, 0, most)
	found.within("limits.objectsPerSource", l.ObjectsPerSource, 0, most)
	found.within("limits.reads", l.Reads, 1, 1000)
}
