package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// version is the version of the format.
	version = 2
	// unchained is the version in which each checksum covers one line only. It can be read, and is rewritten.
	unchained = 1
)

// record is the content of one line. It has At and one of the other fields.
type record struct {
	// Version is in the first line only.
	Version int `json:"version,omitempty"`
	// Service is the newest state of a service. A service without instances is gone.
	Service *catalog.Service `json:"service,omitempty"`
	// Synced is a source whose complete content is in the file.
	Synced string `json:"synced,omitempty"`
	// Gone is a source that is no longer configured.
	Gone string `json:"gone,omitempty"`
	// Holds are all active holds.
	Holds *map[string]guard.Hold `json:"holds,omitempty"`
	// Addressed is a service that has Addresses. Without Addresses, it gave them back.
	Addressed *mesh.Name `json:"addressed,omitempty"`
	// Addresses are virtual addresses.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Named is a service, with its name in lower case, that has the Name in the mesh.
	Named *catalog.Key `json:"named,omitempty"`
	// Name is a name in the mesh. The zero name removes the record.
	Name *mesh.Name `json:"name,omitempty"`
	// Tagged is a service whose Tags have hosts of their own. Without Tags, it has none.
	Tagged *mesh.Name `json:"tagged,omitempty"`
	// Tags are tags with hosts of their own.
	Tags []string `json:"tags,omitempty"`
	// Inlined is a service that has inline endpoints because of the address Pod. Without Pod, it no longer has them.
	Inlined *mesh.Name `json:"inlined,omitempty"`
	// Pod is the address of an instance that may be a pod.
	Pod netip.Addr `json:"pod,omitzero"`
	// At is the time of the change.
	At time.Time `json:"at"`
}

// recordsOf returns the records of a change.
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
	for key, name := range change.Names {
		records = append(records, record{Named: &key, Name: &name, At: now})
	}
	for name, tags := range change.TagHosts {
		records = append(records, record{Tagged: &name, Tags: tags, At: now})
	}
	for name, address := range change.PodAddresses {
		records = append(records, record{Inlined: &name, Pod: address, At: now})
	}
	for name, addresses := range change.Addresses {
		records = append(records, record{Addressed: &name, Addresses: addresses, At: now})
	}
	return records
}

// body returns the record as JSON.
func (r record) body() ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return body, nil
}

// lineOverhead is the length of a line without its body: eight digits, a space and a newline.
const lineOverhead = 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the checksum of a line: over its body, starting from the checksum of the line before.
func checksum(previous uint32, body []byte) uint32 { return crc32.Update(previous, castagnoli, body) }

// seal returns bodies as lines. A line is the checksum in eight hexadecimal digits, a space, and the body. chain is the
// checksum of the line before. seal skips nil bodies, and returns the checksum of the last line.
func seal(chain uint32, bodies [][]byte) (lines []byte, last uint32) {
	size := 0
	for _, body := range bodies {
		size += len(body) + lineOverhead
	}
	lines = make([]byte, 0, size)
	for _, body := range bodies {
		if body != nil {
			chain = checksum(chain, body)
			lines = fmt.Appendf(lines, "%08x %s\n", chain, body)
		}
	}
	return lines, chain
}

// journal describes a file that was read.
type journal struct {
	// complete is false if the last line is cut off.
	complete bool
	// version is the version of the format.
	version int
	// chain is the checksum of the last complete line.
	chain uint32
}

// read applies all records of a file.
func (c *content) read(from io.Reader) (journal, error) {
	var j journal
	reader := bufio.NewReaderSize(from, 1<<16)
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			j.complete = len(line) == 0 && number > 1
			return j, nil
		case err != nil:
			return j, err
		}
		if j.version == unchained {
			j.chain = 0
		}
		r, sum, err := decode(j.chain, line)
		if err != nil {
			return j, fmt.Errorf("line %d %w", number, err)
		}
		j.chain = sum
		if number == 1 {
			if j.version = r.Version; j.version != version && j.version != unchained {
				return j, fmt.Errorf("format version %d is not supported, this isthmus supports %d", r.Version, version)
			}
		}
		c.apply(r)
	}
}

// decode returns the record and the checksum of a line. chain is the checksum of the line before.
func decode(chain uint32, line []byte) (record, uint32, error) {
	var (
		r   record
		sum uint32
	)
	head, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if _, err := fmt.Sscanf(string(head), "%08x", &sum); err != nil || !ok || len(head) != 8 {
		return r, 0, errors.New("has no checksum: the file is not a state file of isthmus, or it is damaged")
	}
	if checksum(chain, body) != sum {
		return r, 0, errors.New("has a wrong checksum: the file is damaged or was changed, or lines before it are missing")
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, 0, fmt.Errorf("is not a record: %w", err)
	}
	return r, sum, nil
}
