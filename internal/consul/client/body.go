package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

const (
	// maxErrorBytes bounds the body of a response that is not successful.
	maxErrorBytes = 64 << 10
	// progressTimeout is the time in which an unbounded body must make progress.
	progressTimeout = 30 * time.Second
	// decodedFactor is how much larger the decoded form of a response may be.
	decodedFactor = 4
	// maxBodyTime bounds the time of an unbounded body.
	maxBodyTime = 10 * time.Minute
)

// Body reads the body of a successful response as a stream, in place of Consul's API client. The client then gets null.
type Body struct {
	// Read reads the body. Its error is that of the request.
	Read func(io.Reader) error
	// Unbounded means that Read needs little memory for a body of any size. Options.MaxBytes does not apply, and the
	// request does not time out while the body makes progress.
	Unbounded bool
}

type bodyKey struct{}

type readCloser struct {
	io.Reader
	io.Closer
}

// WithBody returns a context whose request passes its body to b.
func WithBody(ctx context.Context, b Body) context.Context {
	return context.WithValue(ctx, bodyKey{}, b)
}

// limitBody bounds the body of a response, and reads it if the context of the request has a Body.
func (r *routingTransport) limitBody(req *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		resp.Body = readCloser{io.LimitReader(resp.Body, maxErrorBytes), resp.Body}
		return nil
	}
	body, ok := req.Context().Value(bodyKey{}).(Body)
	if !ok || !body.Unbounded {
		resp.Body = http.MaxBytesReader(nil, resp.Body, r.maxBytes)
	}
	if !ok {
		resp.Body = readCloser{jsonstream.Bound(resp.Body, decodedFactor*r.maxBytes), resp.Body}
		return nil
	}
	var reader io.Reader = resp.Body
	if body.Unbounded {
		reader = &progressReader{Reader: reader, timeout: timeoutOf(req.Context()), end: time.Now().Add(maxBodyTime)}
	}
	err := body.Read(reader)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(reader, maxErrorBytes)) // the connection is used again after the end only
	}
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("read the response: %w", err)
	}
	resp.Body = io.NopCloser(strings.NewReader("null"))
	return nil
}

// progressReader extends the timeout of a request while its body makes progress.
type progressReader struct {
	io.Reader
	timeout *timeout
	end     time.Time
}

// Read implements io.Reader.
func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.timeout.extend(min(progressTimeout, time.Until(r.end)))
	}
	return n, err
}
