package failure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// DedupWindow is the time within which a failure that returns counts as the same failure. It is logged again only if it
	// lasts that long.
	DedupWindow = time.Minute
	// maxErrorLength bounds the text of an error in the log.
	maxErrorLength = 300
)

// Log messages of the Tracker.
const (
	MessageFailing   = "Consul query failing, keeping last known state"
	MessageRecovered = "Consul query recovered"
)

// Tracker tracks which queries fail and why. It logs a failure that many queries share once when it begins and once when
// it ends.
//
// A query is identified by its ID: the name of a service, or one of IDs that no service name begins with: "/name" for a
// query that is not about one service, "\x00name" for a source of failures that is not a query. The ID of the list of
// services is empty.
type Tracker struct {
	log *slog.Logger
	// failing is the number of failing queries by reason.
	failing *prometheus.GaugeVec
	// secrets returns the texts that must not be logged.
	secrets func() []string

	// mu guards the fields below. It is a leaf except that secrets is called with it.
	mu      sync.Mutex
	reasons map[string]Reason
	states  map[Reason]*state
}

// state is the state of one reason.
type state struct {
	// queries is the number of queries that fail for the reason.
	queries int
	// began is zero while no query fails for the reason.
	began time.Time
	// ended is the end of the last failure.
	ended time.Time
	// quiet means that the failure is logged at debug level only.
	quiet bool
	// inhibited means that another failure was logged just before this one began. It is likely the same event.
	inhibited bool
}

// NewTracker returns a tracker without failures. The secrets function returns the texts that must not be logged.
func NewTracker(log *slog.Logger, failing *prometheus.GaugeVec, secrets func() []string) *Tracker {
	return &Tracker{log: log, failing: failing, secrets: secrets, reasons: map[string]Reason{}, states: map[Reason]*state{}}
}

// Failing reports whether the query fails.
func (t *Tracker) Failing(query string) bool { return t.Reason(query) != None }

// Reason returns the reason for which the query fails, or None.
func (t *Tracker) Reason(query string) Reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reasons[query]
}

// Any returns the first of the reasons for which some query fails, or None.
func (t *Tracker) Any(reasons []Reason) Reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range reasons {
		if s := t.states[r]; s != nil && s.queries > 0 {
			return r
		}
	}
	return None
}

// Set records that the query fails, in place of its previous failure. The endpoint is used in the log.
func (t *Tracker) Set(query, endpoint string, r Reason, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.enter(query, r)
	switch {
	case s.began.IsZero():
		s.began, s.inhibited = time.Now(), t.inhibits(r)
		s.quiet = r == InvalidName || s.inhibited || !s.ended.IsZero() && time.Since(s.ended) < DedupWindow
	case s.quiet && r != InvalidName && (time.Since(s.began) >= DedupWindow || s.inhibited && !t.inhibits(r)):
		s.quiet, s.inhibited = false, false // the failure lasts
	default:
		return
	}
	t.log.Log(context.Background(), level(s.quiet, slog.LevelWarn), MessageFailing,
		"reason", r, "query", Describe(query, endpoint), "error", t.Redact(err), "hint", hints[r])
}

// Describe returns the text by which the log names a query.
func Describe(query, endpoint string) string {
	if name, ok := strings.CutPrefix(query, "/"); ok {
		return name
	}
	if query == "" || query[0] == 0 {
		return endpoint
	}
	return endpoint + " " + query
}

// inhibits reports whether another failure has just been logged and lasts.
func (t *Tracker) inhibits(r Reason) bool {
	for other, s := range t.states {
		if other != r && !s.quiet && !s.began.IsZero() && time.Since(s.began) < DedupWindow {
			return true
		}
	}
	return false
}

// enter counts the query among those that fail for the reason.
func (t *Tracker) enter(query string, r Reason) *state {
	s := t.states[r]
	if s == nil {
		s = &state{}
		t.states[r] = s
	}
	if t.reasons[query] != r {
		t.leave(query)
		t.reasons[query] = r
		s.queries++
		t.failing.WithLabelValues(string(r)).Set(float64(s.queries))
	}
	return s
}

// Clear records that the query does not fail.
func (t *Tracker) Clear(query string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave(query)
}

func (t *Tracker) leave(query string) {
	r := t.reasons[query]
	if r == None {
		return
	}
	delete(t.reasons, query)
	s := t.states[r]
	s.queries--
	t.failing.WithLabelValues(string(r)).Set(float64(s.queries))
	if s.queries > 0 {
		return
	}
	after := time.Since(s.began).Round(time.Millisecond)
	s.began, s.ended = time.Time{}, time.Now()
	t.log.Log(context.Background(), level(s.quiet, slog.LevelInfo), MessageRecovered, "reason", r, "after", after)
}

// level returns the level of a message: the usual one, or debug for a quiet failure.
func level(quiet bool, usual slog.Level) slog.Level {
	if quiet {
		return slog.LevelDebug
	}
	return usual
}

// Redact returns the text of an error for a log: without the URL of the request, in one line of bounded length, and
// without secrets.
func (t *Tracker) Redact(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	text := err.Error()
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		text = fmt.Sprintf("the response is larger than %d bytes", tooLarge.Limit)
	}
	for _, secret := range t.secrets() {
		text = strings.ReplaceAll(text, secret, "(redacted)")
	}
	return strings.ToValidUTF8(text[:min(len(text), maxErrorLength)], "")
}
