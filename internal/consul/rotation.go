package consul

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// errRotated ends a request because there are other credentials by now.
var errRotated = errors.New("the credentials have changed")

// The holders of troubles with files: no service that can be asked for has such a name.
const (
	tokenHolder = "\x00token"
	tlsHolder   = "\x00tls"
	// filterHolder is the check of the filter, whose troubles are the list's.
	filterHolder = "\x00filter"
)

// watchFiles takes over what changes in the files of the credentials, until ctx ends.
func (s *Source) watchFiles(ctx context.Context) {
	if s.creds.tokenFile == nil && s.creds.tlsFiles == nil {
		return
	}
	ticker := time.NewTicker(s.opts.reread)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.reread()
		case <-ctx.Done():
			return
		}
	}
}

// reread looks at the files. The list tries what is new; once it has succeeded, the services follow.
func (s *Source) reread() {
	changed, token, tls := s.creds.look()
	s.broken(tokenHolder, token)
	s.broken(tlsHolder, tls)
	for _, what := range changed {
		s.log.Info("the " + what + " changed; what is new is used from now on")
	}
	if len(changed) == 0 {
		return
	}
	s.list.refresh()
	s.mu.Lock()
	defer s.mu.Unlock()
	if check := s.sentries[filterHolder]; check != nil {
		check.refresh()
	}
}

func (s *Source) broken(holder string, err error) {
	if err == nil {
		s.troubles.clear(holder)
		return
	}
	s.troubles.set(holder, "files", unusable, err)
}

// rotated says whether a request was refused that was sent with older credentials: then it is no trouble. Their
// files may have changed just now.
func (s *Source) rotated(edition int, err error) bool {
	if classify(err) != denied {
		return false
	}
	s.reread()
	now, _ := s.creds.current()
	return now != edition
}

// renewable is a transport that makes its connections anew when the credentials change.
type renewable struct {
	creds       *credentials
	connections int

	mu           sync.Mutex
	base         *http.Transport
	current, old *http.Transport
	// renewed is when old was replaced, tidying says that its connections are about to be closed.
	renewed time.Time
	tidying bool
}

// RoundTrip implements http.RoundTripper.
func (r *renewable) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.transport().RoundTrip(req)
}

func (r *renewable) transport() *http.Transport {
	_, base := r.creds.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	if base == r.base {
		return r.current
	}
	if r.current != nil {
		r.current.CloseIdleConnections()
	}
	r.base, r.current, r.old, r.renewed = base, bounded(base, r.connections), r.current, time.Now()
	return r.current
}

// oldest is how long requests may go on over connections of before: no longer than Consul holds one.
const oldest = maxWait*6/5*17/16 + pollSlack

// tidy closes the connections of before that a request has just left free, so that there are not twice as many as allowed
// for long. A stream is not gone yet when its request is.
func (r *renewable) tidy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.renewed) > oldest {
		r.old = nil
	}
	if r.old == nil || r.tidying {
		return
	}
	r.tidying = true
	time.AfterFunc(closeGrace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tidying = false
		if r.old != nil {
			r.old.CloseIdleConnections()
		}
	})
}

// CloseIdleConnections closes what nobody uses.
func (r *renewable) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range []*http.Transport{r.current, r.old} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}
