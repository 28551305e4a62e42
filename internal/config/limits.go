package config

// Limits bounds the memory and the work that registrations cause.
type Limits struct {
	MemoryMiB   int `json:"memoryMiB" doc:"Memory in MiB from which the limits with the value 0 are derived. 0: GOMEMLIMIT, then the memory limit of the container, then the memory of the machine."`
	Services    int `json:"services" doc:"Maximum number of services of each source. Above it, new services wait and the others stay. 0: one for each 32 KiB of memory, divided by the number of sources."`
	ResponseMiB int `json:"responseMiB" doc:"Maximum size in MiB of a response with the instances of a service, uncompressed and decoded. A service with a larger response keeps its last known state. The list of services has no limit."`
	Reads       int `json:"reads" doc:"Maximum number of concurrent reads of each source over HTTPS. Over plain HTTP, it is also at most a tenth of connections."`
}

// defaultLimits returns the defaults. docs/security.md gives the reasons.
func defaultLimits() Limits { return Limits{ResponseMiB: 64, Reads: 64} }

func (l Limits) validate(found *problems) {
	const most = 1 << 30
	found.within("limits.memoryMiB", l.MemoryMiB, 0, most)
	found.within("limits.services", l.Services, 0, most)
	found.within("limits.responseMiB", l.ResponseMiB, 1, 1024)
	found.within("limits.reads", l.Reads, 1, 1000)
}
