package failure

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

var (
	// ErrInvalidName is a service name that Consul's HTTP server rejects or turns into another path.
	ErrInvalidName = errors.New("the service name cannot be part of a request path")
	// ErrBadFilter is a filter expression that Consul rejects.
	ErrBadFilter = errors.New("services.filter is rejected by Consul")
)

// Classify returns the reason of a failed request.
func Classify(err error) Reason {
	var tooLarge *http.MaxBytesError
	var limit *jsonstream.LimitError
	var status api.StatusError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &limit):
		return TooLarge
	case errors.Is(err, ErrInvalidName):
		return InvalidName
	case errors.Is(err, ErrBadFilter):
		return BadFilter
	case errors.Is(err, jsonstream.ErrInvalid):
		return Unexpected
	case errors.As(err, &status):
		return classifyStatus(status.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	// Consul answers a connection above its limit in HTTP/1.1, even if the client speaks HTTP/2, and closes the connection.
	// Go reads that response or only sees the closed connection, by chance.
	case strings.Contains(err.Error(), "looked like an HTTP/1.1 header"),
		strings.Contains(err.Error(), "http2: client conn could not be established"),
		strings.Contains(err.Error(), "readLoopPeekFailLocked: %!w(<nil>)"): // Go has read the response before it sent the request
		return Limited
	case errors.As(err, &network), strings.Contains(err.Error(), "EOF"):
		return Unreachable
	}
	return Unexpected
}

func classifyStatus(code int) Reason {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return Denied
	case code == http.StatusTooManyRequests:
		return Limited
	case code >= http.StatusInternalServerError:
		return ServerError
	}
	return Unexpected
}
