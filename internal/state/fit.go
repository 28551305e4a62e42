package state

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// maxNamed is how many of the services that are left out the log names.
const maxNamed = 16

// fit returns the lines of a whole file, without the largest services where all are too large together. Of a source that
// one is left out of the file doesn't say that it holds the whole content: what is missing there isn't gone. An eighth
// stays free for what changes.
func (f *File) fit(records []record) ([]byte, error) {
	lines := make([][]byte, len(records))
	size := 0
	for i, r := range records {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		lines[i] = line
		size += len(line)
	}
	leftOut := map[catalog.Key]int{}
	room := int(f.maxSize - f.maxSize/8)
	if size > room {
		for _, i := range byLength(records, lines) {
			if size <= room {
				break
			}
			leftOut[records[i].Service.Key] = len(lines[i])
			size -= len(lines[i])
			lines[i] = nil
		}
		for i, r := range records {
			if r.Synced != "" && lacks(leftOut, r.Synced) {
				lines[i] = nil
			}
		}
	}
	if size > room {
		return nil, fmt.Errorf("it would take %d bytes without any service, more than %d", size, room)
	}
	f.tellLeftOut(leftOut)
	f.leftOut = leftOut
	return bytes.Join(lines, nil), nil
}

// byLength returns which records are services, the longest first.
func byLength(records []record, lines [][]byte) []int {
	var services []int
	for i, r := range records {
		if r.Service != nil {
			services = append(services, i)
		}
	}
	slices.SortStableFunc(services, func(a, b int) int { return len(lines[b]) - len(lines[a]) })
	return services
}

func lacks(leftOut map[catalog.Key]int, source string) bool {
	for key := range leftOut {
		if key.Source == source {
			return true
		}
	}
	return false
}

// addition returns the lines of records that are to be added, without what is left out of the file. It returns true where
// one of those may have room by now.
func (f *File) addition(records []record) (lines []byte, whole bool, err error) {
	for _, r := range records {
		line, err := r.line()
		if err != nil {
			return nil, false, err
		}
		switch {
		case r.Synced != "" && lacks(f.leftOut, r.Synced):
			continue
		case r.Service == nil:
		case f.leftOut[r.Service.Key] == 0:
		case len(line) < f.leftOut[r.Service.Key]*3/4:
			return nil, true, nil
		default:
			continue
		}
		lines = append(lines, line...)
	}
	return lines, false, nil
}

// tellLeftOut names the services that are left out, when they become others.
func (f *File) tellLeftOut(now map[catalog.Key]int) {
	names := slices.SortedFunc(maps.Keys(now), catalog.Key.Compare)
	before := slices.SortedFunc(maps.Keys(f.leftOut), catalog.Key.Compare)
	switch {
	case slices.Equal(names, before):
	case len(names) == 0:
		f.log.Info("the state file holds all services again", "file", f.path)
	default:
		f.log.Error("the catalog is larger than the state file may be: its largest services are left out, and a start while Consul is down waits for it",
			"file", f.path, "services", len(names), "first", names[:min(len(names), maxNamed)], "most bytes", f.maxSize)
	}
}
