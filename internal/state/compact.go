package state

import (
	"fmt"
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// maxLoggedServices limits the services that a log line lists.
const maxLoggedServices = 16

// fit returns the bodies of a complete file. If all services together are too large, it leaves out the largest ones; their
// bodies are nil. Then the file doesn't contain the complete content of their sources, so the Synced records of these
// sources are nil too: otherwise a start would treat the missing services as gone. One eighth of the size stays free for
// changes.
func (f *File) fit(records []record) ([][]byte, error) {
	bodies := make([][]byte, len(records))
	size := 0
	for i, r := range records {
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		bodies[i] = body
		size += len(body) + lineOverhead
	}
	leftOut := map[catalog.Key]int{}
	space := int(f.maxSize - f.maxSize/8)
	if size > space {
		for _, i := range servicesBySize(records, bodies) {
			if size <= space {
				break
			}
			leftOut[records[i].Service.Key] = len(bodies[i])
			size -= len(bodies[i]) + lineOverhead
			bodies[i] = nil
		}
		for i, r := range records {
			if r.Synced != "" && lacks(leftOut, r.Synced) {
				bodies[i] = nil
			}
		}
	}
	if size > space {
		return nil, fmt.Errorf("%d bytes without services exceed the limit of %d", size, space)
	}
	f.logLeftOut(leftOut)
	f.leftOut = leftOut
	return bodies, nil
}

// servicesBySize returns the indexes of the service records, the largest first.
func servicesBySize(records []record, bodies [][]byte) []int {
	var services []int
	for i, r := range records {
		if r.Service != nil {
			services = append(services, i)
		}
	}
	slices.SortStableFunc(services, func(a, b int) int { return len(bodies[b]) - len(bodies[a]) })
	return services
}

// lacks reports whether a service of the source is left out.
func lacks(leftOut map[catalog.Key]int, source string) bool {
	for key := range leftOut {
		if key.Source == source {
			return true
		}
	}
	return false
}

// additions returns the bodies of the records to append. It skips the services that are left out, and the Synced records
// of their sources. fits is false if a service that is left out may have space now, so that the file must be rewritten.
func (f *File) additions(records []record) (bodies [][]byte, fits bool, err error) {
	for _, r := range records {
		body, err := r.body()
		if err != nil {
			return nil, false, err
		}
		switch {
		case r.Synced != "" && lacks(f.leftOut, r.Synced):
			continue
		case r.Service == nil:
		case f.leftOut[r.Service.Key] == 0:
		case len(body) < f.leftOut[r.Service.Key]*3/4:
			return nil, false, nil
		default:
			continue
		}
		bodies = append(bodies, body)
	}
	return bodies, true, nil
}

// logLeftOut logs the services that are left out, if they have changed.
func (f *File) logLeftOut(now map[catalog.Key]int) {
	names := slices.SortedFunc(maps.Keys(now), catalog.Key.Compare)
	before := slices.SortedFunc(maps.Keys(f.leftOut), catalog.Key.Compare)
	switch {
	case slices.Equal(names, before):
	case len(names) == 0:
		f.log.Info(MsgFits, "file", f.path)
	default:
		f.log.Error(MsgTooLarge, "file", f.path, "count", len(names), "services", names[:min(len(names), maxLoggedServices)],
			"limit", f.maxSize, "hint", "a start while Consul is down waits for it")
	}
}
