package mesh

import (
	"cmp"
	"fmt"
	"runtime"
	"strings"

	"google.golang.org/protobuf/proto"
)

const (
	// MaxInstances is the default limit of instances of a service that take traffic. The schema of Istio's ServiceEntry allows
	// as many endpoints. It applies to both forms, so that a change of the form removes no instance.
	MaxInstances = 4096
	// maxInline is the size of the endpoints of a ServiceEntry in bytes of JSON from which no further endpoint is added. etcd
	// refuses requests of more than 1.5 MiB (--max-request-bytes). The difference leaves room for one more endpoint and for
	// the other fields.
	maxInline = 1434 << 10
	// maxName is the maximum length of a service's name in bytes. Names in DNS have at most 253.
	maxName = 1024
)

// selectEndpoints sets the labels of the endpoints and returns those that take traffic, up to the limits. It takes them in
// the order of their IDs, so one instance more or less changes at most one other. Instances without traffic do not count,
// so dead registrations do not displace healthy ones.
func selectEndpoints(endpoints []endpoint, name Name, options Options, report *report) []endpoint {
	most, size := cmp.Or(options.MaxInstances, MaxInstances), 0
	kept := make([]endpoint, 0, min(len(endpoints), most))
	for i, e := range endpoints {
		switch {
		case !e.takesTraffic:
			if i < most { // report label findings independent of health
				instanceLabels(*e.instance, name, options.Labels, report)
			}
			continue
		case len(kept) == most:
			report.instance(TooManyInstances, *e.instance, fmt.Sprintf("the limit is %d instances for each service (mesh.maxInstances); the instance is skipped", most))
			continue
		case size > maxInline:
			report.instance(TooManyInstances, *e.instance, "labels: the object is full; the instance is skipped "+
				"(register fewer meta entries and tags, or leave them out with mesh.labels.deny)")
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

// jsonSize returns an upper bound of the JSON size of an endpoint. A label takes as many bytes as in protobuf.
func jsonSize(e endpoint) int {
	const frame = 64 // field names
	return proto.Size(e.entry) + frame
}

// broken returns the resources and the finding of a translation that panicked.
func broken(failure any) (Resources, []Finding) {
	detail := fmt.Sprintf("internal error, please report it; the live objects of the service are kept: %s, in %s", clip(fmt.Sprint(failure)), panicked())
	return Resources{Broken: true}, AddFinding(nil, Untranslatable, "", detail, 1)
}

// panicked returns the position of the panic that is being recovered. It is the same for the same bug.
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
	return "an unknown position"
}
