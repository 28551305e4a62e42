package jsonstream

import (
	"fmt"
	"io"
)

// Costs of the parts of a JSON text in memory after it was decoded to Consul's types: an upper bound, since the types of the
// parts are not known. An object can be a pointer to a struct of several hundred bytes, although it has only two bytes.
const (
	objectCost  = 512
	elementCost = 64
)

// LimitError means that a response, or the part of it in What, is above a limit.
type LimitError struct {
	What  string
	Limit int64
}

// Error implements error.
func (e *LimitError) Error() string { return fmt.Sprintf("the limit for %s is %d", e.What, e.Limit) }

// cost counts the memory that a JSON text needs.
type cost struct {
	bytes int64
	// text means that the next byte is part of a string. escaped means that it belongs to an escape.
	text, escaped bool
}

// add counts a part of the text.
func (c *cost) add(part []byte) {
	c.bytes += int64(len(part))
	for _, b := range part {
		switch {
		case c.escaped:
			c.escaped = false
		case b == '"':
			c.text = !c.text
		case c.text:
			c.escaped = b == '\\'
		case b == '{':
			c.bytes += objectCost
		case b == ',', b == '[':
			c.bytes += elementCost
		}
	}
}

// Bound returns a reader that fails with a LimitError when the decoded form of what it has read may be above the limit.
func Bound(r io.Reader, limit int64) io.Reader { return &boundedReader{Reader: r, limit: limit} }

type boundedReader struct {
	io.Reader
	cost  cost
	limit int64
}

// Read implements io.Reader.
func (r *boundedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.cost.add(p[:n])
	if r.cost.bytes > r.limit {
		return 0, &LimitError{"the decoded size of the response", r.limit}
	}
	return n, err
}
