package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// recoveryTime is how long queries may fail after Consul answers again. A query that fails longer has a failure of its own.
const recoveryTime = 30 * time.Second

// disconnected are the failures after which the known state may be old.
var disconnected = []failure.Reason{
	failure.Unreachable, failure.Timeout, failure.ServerError, failure.Denied, failure.Limited, failure.Unexpected,
	failure.Anonymous, failure.StaleServer, failure.IndexUninitialized,
}

// Connected returns nil if the reported state is that of Consul: Consul answers now, and no query is disconnected. A
// service whose query alone fails for longer does not count.
func (s *Source) Connected(ctx context.Context) error {
	err := s.checkConnection(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.connectedSince = time.Time{}
		return err
	case s.connectedSince.IsZero():
		s.connectedSince = time.Now()
	}
	if r := s.failures.Any(disconnected); r != failure.None && time.Since(s.connectedSince) < recoveryTime {
		return fmt.Errorf("queries fail: %s", r)
	}
	return nil
}

// checkConnection sends the smallest consistent read, which the leader confirms.
func (s *Source) checkConnection(ctx context.Context) error {
	if err := s.waitUntilOpen(ctx); err != nil {
		return err
	}
	conn, err := s.reads.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { s.reads.Release(conn, err != nil) }()
	options := s.query.Options(0, 0).WithContext(conn.Bind(ctx))
	_, meta, err := s.client.API.Health().Service(consulService, detect.UnusedTag, false, options)
	switch {
	case err != nil:
		return errors.New(s.failures.Redact(err))
	case meta.LastIndex <= 1:
		return fmt.Errorf("response rejected: %s", failure.IndexUninitialized)
	}
	return nil
}

// waitUntilOpen waits until the list of services was read, which takes a moment after the start. It fails if the list is
// disconnected.
func (s *Source) waitUntilOpen(ctx context.Context) error {
	select {
	case <-s.opened:
	case <-s.listFailed:
	case <-ctx.Done():
		return errors.New("nothing was read yet")
	}
	if r := s.failures.Reason(listID); slices.Contains(disconnected, r) {
		return fmt.Errorf("the list of services cannot be read: %s", r)
	}
	select {
	case <-s.opened:
		return nil
	case <-ctx.Done():
		return errors.New("nothing was read yet")
	}
}
