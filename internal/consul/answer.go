package consul

import (
	"errors"
	"io"
	"net/http"
)

// maxAnswer bounds one answer, in bytes after it was unpacked. A service of 10,000 instances has some 10 MB, a
// registration can have 10 MB itself: what Consul holds must not decide how much memory isthmus takes.
const maxAnswer = 64 << 20

// errTooLarge is an answer above the bound. It removes nothing: what it would have said isn't known.
var errTooLarge = errors.New("the answer is larger than isthmus reads")

// short makes the reading of an answer fail at a bound.
func short(resp *http.Response, most int64) {
	resp.Body = struct {
		io.Reader
		io.Closer
	}{&reading{resp.Body, most}, resp.Body}
}

// reading reads up to a number of bytes, and fails with errTooLarge where there are more.
type reading struct {
	from io.Reader
	left int64
}

// Read implements io.Reader.
func (b *reading) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
