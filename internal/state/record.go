package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// version is that of the format; another one can't be read.
const version = 1

// record is one line of the file, behind its checksum. One of its fields is set, and At.
type record struct {
	// Version is the first line's.
	Version int `json:"version,omitempty"`
	// Service is the newest state of a service; one without instances is gone.
	Service *catalog.Service `json:"service,omitempty"`
	// Synced is a source whose whole content is in the file.
	Synced string `json:"synced,omitempty"`
	// Gone is a source that nothing is kept of any more.
	Gone string `json:"gone,omitempty"`
	// Holds are all holds in force.
	Holds *map[string]guard.Hold `json:"holds,omitempty"`
	// Addressed is a service that took the Addresses, or gave them back where there are none.
	Addressed *mesh.Name   `json:"addressed,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	At        time.Time    `json:"at"`
}

func recordsOf(change contract.Change, now time.Time) []record {
	var records []record
	for _, service := range change.Services {
		records = append(records, record{Service: &service, At: now})
	}
	for _, source := range change.Gone {
		records = append(records, record{Gone: source, At: now})
	}
	if change.Synced != "" {
		records = append(records, record{Synced: change.Synced, At: now})
	}
	if change.Holds != nil {
		records = append(records, record{Holds: &change.Holds, At: now})
	}
	for name, addresses := range change.Addresses {
		records = append(records, record{Addressed: &name, Addresses: addresses, At: now})
	}
	return records
}

// content is what the records of a file come to.
type content struct {
	services map[catalog.Key]catalog.Service
	synced   map[string]bool
	holds    map[string]guard.Hold
	// addresses are the virtual addresses that services took.
	addresses map[mesh.Name][]netip.Addr
	changed   time.Time
}

func newContent() content {
	return content{
		services: map[catalog.Key]catalog.Service{}, synced: map[string]bool{}, holds: map[string]guard.Hold{},
	}
}

func (c *content) apply(r record) {
	switch {
	case r.Service != nil && len(r.Service.Instances) == 0:
		delete(c.services, r.Service.Key)
	case r.Service != nil:
		c.services[r.Service.Key] = *r.Service
	case r.Synced != "":
		c.synced[r.Synced] = true
	case r.Gone != "":
		maps.DeleteFunc(c.services, func(key catalog.Key, _ catalog.Service) bool { return key.Source == r.Gone })
		delete(c.synced, r.Gone)
	case r.Holds != nil:
		c.holds = *r.Holds
	case r.Addressed != nil && len(r.Addresses) == 0:
		delete(c.addresses, *r.Addressed)
	case r.Addressed != nil:
		if c.addresses == nil {
			c.addresses = map[mesh.Name][]netip.Addr{}
		}
		c.addresses[*r.Addressed] = r.Addresses
	}
	if r.At.After(c.changed) {
		c.changed = r.At
	}
}

func (c *content) recollection() contract.Snapshot {
	return contract.Snapshot{
		Services:        slices.SortedFunc(maps.Values(c.services), func(a, b catalog.Service) int { return a.Key.Compare(b.Key) }),
		CompleteSources: slices.Sorted(maps.Keys(c.synced)),
		Holds:           maps.Clone(c.holds),
		Addresses:       maps.Clone(c.addresses),
		Changed:         c.changed,
	}
}

// records are the fewest that come to the same content.
func (c *content) records() []record {
	records := []record{{Version: version, At: c.changed}}
	recollection := c.recollection()
	for _, service := range recollection.Services {
		records = append(records, record{Service: &service, At: c.changed})
	}
	for _, source := range recollection.CompleteSources {
		records = append(records, record{Synced: source, At: c.changed})
	}
	for _, name := range slices.SortedFunc(maps.Keys(c.addresses), mesh.Name.Compare) {
		records = append(records, record{Addressed: &name, Addresses: c.addresses[name], At: c.changed})
	}
	return append(records, record{Holds: &recollection.Holds, At: c.changed})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(line []byte) uint32 { return crc32.Checksum(line, castagnoli) }

// encode writes records as lines.
func encode(records []record) ([]byte, error) {
	var out bytes.Buffer
	for _, r := range records {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		out.Write(line)
	}
	return out.Bytes(), nil
}

// line is the checksum of the record's JSON in eight hexadecimal digits, a space, the JSON.
func (r record) line() ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", checksum(line), line), nil
}

// read applies all records of a file. It returns false where the last one is cut off.
func (c *content) read(from io.Reader) (whole bool, err error) {
	reader := bufio.NewReaderSize(from, 1<<16)
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return len(line) == 0 && number > 1, nil
		case err != nil:
			return false, err
		}
		r, err := decode(line)
		if err != nil {
			return false, fmt.Errorf("line %d %w", number, err)
		}
		if number == 1 && r.Version != version {
			return false, fmt.Errorf("its format has version %d, this isthmus reads %d", r.Version, version)
		}
		c.apply(r)
	}
}

func decode(line []byte) (record, error) {
	var (
		r   record
		sum uint32
	)
	head, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if _, err := fmt.Sscanf(string(head), "%08x", &sum); err != nil || !ok || len(head) != 8 {
		return r, errors.New("doesn't begin with a checksum: it isn't a state file of isthmus, or it was damaged")
	}
	if checksum(body) != sum {
		return r, errors.New("doesn't fit its checksum: the file was damaged or changed")
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("is no record: %w", err)
	}
	return r, nil
}
