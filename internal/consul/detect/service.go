package detect

import (
	"context"
	"path"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// Service is a service that the Detector follows.
type Service struct {
	name  string
	query ServiceQuery
	// watched means that the service may have a poll.
	watched atomic.Bool
	// promoted is signaled when watched becomes true.
	promoted wait.Signal
	// changedAt is the time of the last change in Unix nanoseconds; 0 for none.
	changedAt atomic.Int64
}

// NewService returns a service that is unwatched.
func NewService(name string, query ServiceQuery) *Service {
	return &Service{name: name, query: query, promoted: wait.NewSignal()}
}

// Watched reports whether the service may have a poll.
func (s *Service) Watched() bool { return s.watched.Load() }

// WaitUntilWatched waits until the service may have a poll, or ctx ends.
func (s *Service) WaitUntilWatched(ctx context.Context) error {
	for !s.watched.Load() {
		select {
		case <-s.promoted:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (s *Service) promote() {
	s.watched.Store(true)
	s.promoted.Notify()
}

// ValidName reports whether a request for the service reaches Consul. Go's HTTP server, and thus Consul's, cleans "..", "."
// and double slashes in a path and answers for the result. Consul rejects unprintable characters.
func ValidName(name string) bool {
	return path.Clean("/"+name) == strings.TrimSuffix("/"+name, "/") &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}
