package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// A reason is a kind of trouble with Consul, by its name in the metrics.
type reason string

const (
	none reason = ""
	// unreachable is a connection that can't be made or that broke.
	unreachable reason = "unreachable"
	// hung is a request that was not answered within its time.
	hung        reason = "timeout"
	serverError reason = "server_error"
	denied      reason = "denied"
	limited     reason = "limited"
	// tooLarge is an answer above our bound.
	tooLarge   reason = "too_large"
	unexpected reason = "unexpected"
	// anonymous is an answer to somebody without rights, which looks like an empty catalog.
	anonymous reason = "anonymous"
	// filtered is an answer that was cut to what the token may read.
	filtered reason = "filtered"
	// outdated is an answer of a server that has lost the leader.
	outdated   reason = "stale_server"
	indexOne   reason = "index_uninitialized"
	indexBack  reason = "index_backwards"
	indexEqual reason = "index_unchanged"
	// unheld is a blocking query that is answered at once, over and over.
	unheld reason = "not_blocking"
	// unaskable is a service whose name can't be asked for.
	unaskable reason = "invalid_name"
	// badExpression is a filter that Consul doesn't understand.
	badExpression reason = "bad_filter"
	// unusable is a file with a token or with TLS material that is unreadable or broken.
	unusable reason = "credentials_unreadable"
)

const rights = `a token with node_prefix "" { policy = "read" } and service_prefix "" { policy = "read" }`

// advice is what an operator does about a trouble. docs/troubleshoot.md repeats it word for word.
var advice = map[reason]string{
	unreachable: "check Consul's address and port, its TLS settings and that the agent runs",
	hung:        "check the network to Consul and the load of its agent",
	serverError: "check that Consul's servers run and have a leader",
	denied:      "give it " + rights + ", which must exist and not have expired",
	limited:     "use fewer connections here, or raise limits.http_max_conns_per_client in the Consul agent",
	tooLarge:    "find out who registers so much under that name, or so many names; until it is less, what was known stays",
	unexpected:  "check that the address is a Consul agent's HTTP API and no other server's",
	anonymous: "give it " + rights + "; a token that is local to one datacenter doesn't count in another, " +
		"so ask an agent of that datacenter",
	filtered:      "give it " + rights + "; what can't be read is neither added nor removed",
	outdated:      "check that Consul's servers reach each other and have a leader",
	indexOne:      "nothing, if Consul has just started; else check that the agent reaches its servers and that the token is valid",
	indexBack:     "nothing, if a snapshot was restored; else make sure that the address leads to one datacenter only",
	unheld:        "make sure that no cache or proxy between here and Consul answers or cuts blocking queries",
	badExpression: "mend services.filter and restart",
	unaskable:     "register the service under another name",
	unusable:      "put a readable and whole file there; until then, what was read from it before is used",
	indexEqual:    "nothing, unless it lasts: then check whether the token's policies were narrowed",
}

// classify returns what kind of trouble an error of a request is.
func classify(err error) reason {
	var status api.StatusError
	var network net.Error
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge
	case errors.Is(err, errUnaskable):
		return unaskable
	case errors.Is(err, errFilter):
		return badExpression
	case errors.As(err, &status):
		return classifyStatus(status.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return hung
	// Consul answers a connection too many in HTTP/1.1 whatever the client speaks, and closes it; whether Go has
	// read the answer or only seen the end is chance.
	case strings.Contains(err.Error(), "looked like an HTTP/1.1 header"),
		strings.Contains(err.Error(), "http2: client conn could not be established"),
		strings.Contains(err.Error(), "readLoopPeekFailLocked: %!w(<nil>)"): // Go has read an answer before it asked
		return limited
	case errors.As(err, &network), strings.Contains(err.Error(), "EOF"):
		return unreachable
	}
	return unexpected
}

func classifyStatus(code int) reason {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return denied
	case code == http.StatusTooManyRequests:
		return limited
	case code >= http.StatusInternalServerError:
		return serverError
	}
	return unexpected
}
