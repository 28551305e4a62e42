package consul

import (
	"context"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// IDs of the failures that are not those of a service. No service has such a name.
const (
	tokenFileID   = "\x00token"
	tlsFilesID    = "\x00tls"
	filterCheckID = "\x00filter"
)

// watchFiles reads the credential files at an interval until ctx ends.
func (s *Source) watchFiles(ctx context.Context) {
	if !s.client.Credentials.Watched() {
		return
	}
	wait.Every(ctx, s.opts.pollFiles, s.reloadCredentials)
}

// reloadCredentials reads the credential files. The list uses new credentials first. The services follow after the list
// was answered.
func (s *Source) reloadCredentials() {
	changed, tokenErr, tlsErr := s.client.Credentials.Poll()
	s.setFileFailure(tokenFileID, tokenErr)
	s.setFileFailure(tlsFilesID, tlsErr)
	for _, file := range changed {
		s.log.Info("credentials reloaded", "file", file)
	}
	if len(changed) == 0 {
		return
	}
	s.list.Refresh()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filterCheck != nil {
		s.filterCheck.Refresh()
	}
}

func (s *Source) setFileFailure(id string, err error) {
	if err == nil {
		s.failures.Clear(id)
		return
	}
	s.failures.Set(id, "files", failure.CredentialsUnreadable, err)
}

// rotated reports whether a request was denied because its credentials were replaced, which is not a failure. It reads the
// files first, because they may have changed a moment ago.
func (s *Source) rotated(version int, err error) bool {
	if failure.Classify(err) != failure.Denied {
		return false
	}
	s.reloadCredentials()
	return s.client.Credentials.Version() != version
}
