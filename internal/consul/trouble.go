package consul

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"
)

// brief is how soon a trouble that comes back is the same one, which is not logged again unless it lasts as long.
const brief = time.Minute

// troubles keep which queries are in trouble and why. A trouble that many share is told once when it
// begins and once when it ends.
type troubles struct {
	log     *slog.Logger
	metrics sourceMetrics
	// secrets returns what must not be in a log.
	secrets func() []string

	mu    sync.Mutex
	of    map[string]reason
	state map[reason]*trouble
}

// A trouble is one reason's state.
type trouble struct {
	holders int
	// began is zero while nobody is in this trouble, ended is when that was last so.
	began, ended time.Time
	// quiet says that it was not told, because it was told a moment ago, or because it is shadowed: it began
	// while another one did that was told, and is likely another face of it.
	quiet, shadowed bool
}

func newTroubles(log *slog.Logger, metrics sourceMetrics, secrets func() []string) *troubles {
	return &troubles{log: log, metrics: metrics, secrets: secrets, of: map[string]reason{}, state: map[reason]*trouble{}}
}

// holds says whether the query is in trouble.
func (t *troubles) holds(holder string) bool { return t.reason(holder) != none }

// reason returns why the query is in trouble.
func (t *troubles) reason(holder string) reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[holder]
}

// reasonOf returns the trouble that a query is in.
func (t *troubles) reasonOf(holder string) reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[holder]
}

// any returns one of the troubles that some query is in; none where none is.
func (t *troubles) any(of []reason) reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range of {
		if state := t.state[r]; state != nil && state.holders > 0 {
			return r
		}
	}
	return none
}

// set puts a query into trouble, in place of the one it had.
func (t *troubles) set(holder, asked string, r reason, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := t.enter(holder, r)
	switch {
	case state.began.IsZero():
		state.began, state.shadowed = time.Now(), t.shadowed(r)
		state.quiet = r == unaskable || state.shadowed || !state.ended.IsZero() && time.Since(state.ended) < brief
	case state.quiet && r != unaskable && (time.Since(state.began) >= brief || state.shadowed && !t.shadowed(r)):
		state.quiet, state.shadowed = false, false // it came to stay
	default:
		return
	}
	if query, ok := strings.CutPrefix(holder, "/"); ok {
		asked = query
	} else if holder != "" && holder[0] != 0 {
		asked += " " + holder
	}
	t.tell(state.quiet, slog.LevelWarn, "trouble with Consul; what is known stays as it is",
		"reason", r, "asked", asked, "said", t.clean(err), "do", advice[r])
}

// shadowed says whether another trouble has just been told, and is not over.
func (t *troubles) shadowed(r reason) bool {
	for other, state := range t.state {
		if other != r && !state.quiet && !state.began.IsZero() && time.Since(state.began) < brief {
			return true
		}
	}
	return false
}

// enter counts a query among those in a trouble.
func (t *troubles) enter(holder string, r reason) *trouble {
	state := t.state[r]
	if state == nil {
		state = &trouble{}
		t.state[r] = state
	}
	if t.of[holder] != r {
		t.end(holder)
		t.of[holder] = r
		state.holders++
		t.metrics.trouble.WithLabelValues(string(r)).Set(float64(state.holders))
	}
	return state
}

// clear takes a query out of trouble.
func (t *troubles) clear(holder string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(holder)
}

func (t *troubles) end(holder string) {
	r := t.of[holder]
	if r == none {
		return
	}
	delete(t.of, holder)
	state := t.state[r]
	state.holders--
	t.metrics.trouble.WithLabelValues(string(r)).Set(float64(state.holders))
	if state.holders > 0 {
		return
	}
	after := time.Since(state.began).Round(time.Millisecond)
	state.began, state.ended = time.Time{}, time.Now()
	t.tell(state.quiet, slog.LevelInfo, "the trouble with Consul is over", "reason", r, "after", after)
}

func (t *troubles) tell(quiet bool, level slog.Level, message string, args ...any) {
	if quiet {
		level = slog.LevelDebug
	}
	t.log.Log(context.Background(), level, message, args...)
}

// clean returns an error's text for a log: without the request's URL, in one line of bounded length, and
// without the token, whoever repeated it.
func (t *troubles) clean(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	text := err.Error()
	for _, secret := range t.secrets() {
		text = strings.ReplaceAll(text, secret, "(the token)")
	}
	return strings.ToValidUTF8(text[:min(len(text), 300)], "")
}
