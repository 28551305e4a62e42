package mesh

import (
	"cmp"
	"fmt"
	"runtime"
	"strings"

	"google.golang.org/protobuf/proto"
)

const (
	// MaxInstances is how many instances of a service take traffic at most: as many endpoints as the schema of Istio's
	// ServiceEntry allows. It is the same for both forms, so that a change of the form takes nothing away.
	MaxInstances = 4096
	// maxInline is when a ServiceEntry takes no further endpoint, in bytes of their JSON: etcd refuses requests of more
	// than 1.5 MiB (--max-request-bytes). What is left is for one more, and for all that stands beside the endpoints.
	maxInline = 1434 << 10
	// maxName is how long a service's name may be, in bytes. DNS ends at 253.
	maxName = 1024
)

// labelled returns the endpoints that take traffic, with their labels, and no more than a service may have: the first
// ones in the order of their IDs, so that one that comes or goes changes one other at most. Those without traffic don't
// count: registrations that nobody took back must not keep the living out.
func selectEndpoints(endpoints []endpoint, name Name, options Options, report *report) []endpoint {
	most, size := cmp.Or(options.MaxInstances, MaxInstances), 0
	kept := make([]endpoint, 0, min(len(endpoints), most))
	for i, e := range endpoints {
		switch {
		case !e.takesTraffic:
			if i < most { // what is wrong with its labels is told while it comes and goes
				instanceLabels(*e.instance, name, options.Labels, report)
			}
			continue
		case len(kept) == most:
			report.instance(TooManyInstances, *e.instance, fmt.Sprintf("a service may have %d instances (mesh.maxInstances); it is left out", most))
			continue
		case size > maxInline:
			report.instance(TooManyInstances, *e.instance, "labels: those of the instances before it fill an object; it is left out "+
				"(register fewer meta entries and tags, or set mesh.endpoints to workloadEntry)")
			continue
		}
		e.entry.Labels = instanceLabels(*e.instance, name, options.Labels, report)
		if options.Form == InlineForm {
			size += jsonSize(e)
		}
		kept = append(kept, e)
	}
	return kept
}

// jsonSize is what an endpoint takes as JSON, or a little more. A label takes as many bytes as in protobuf.
func jsonSize(e endpoint) int {
	const frame = 64 // the fields' names
	return proto.Size(e.entry) + frame
}

// broken are the resources and the finding of a translation that panicked.
func broken(failure any) (Resources, []Finding) {
	return Resources{Broken: true}, []Finding{{
		Reason: Untranslatable, Count: 1,
		Detail: fmt.Sprintf("isthmus made a mistake, please report it; what stands of the service stays as it is: %s, in %s", clip(fmt.Sprint(failure)), panicked()),
	}}
}

// panicked returns where the panic that is being recovered from was, the same for the same mistake.
func panicked() string {
	counters := make([]uintptr, 64)
	frames := runtime.CallersFrames(counters[:runtime.Callers(0, counters)])
	within := false
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		within = within || frame.Function == "runtime.gopanic"
		if within && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
	}
	return "an unknown place"
}
