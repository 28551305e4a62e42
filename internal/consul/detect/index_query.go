package detect

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	// UnusedTag is a tag that no instance has. A response limited to it is empty and still has the index of the service.
	UnusedTag = "isthmus:nobody"
	// MaxIndexQueries bounds the index queries in flight. They also use at most half of the connections for reads.
	MaxIndexQueries = 8

	indexEndpoint = "index"
)

// queryAll queries the index of services, a few at once, until a query fails for a reason that concerns the others, too.
func (s *scanner) queryAll(ctx context.Context, services []*Service) error {
	var next atomic.Int64
	var group sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range min(MaxIndexQueries, max(1, s.detector.Reads.Size()/2), len(services)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(services) {
					return
				}
				if err := s.queryIndex(ctx, services[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// queryIndex queries the index of a service. The leader answers: a server that is behind would hide a change.
func (s *scanner) queryIndex(ctx context.Context, service *Service) error {
	d := s.detector
	if !ValidName(service.name) {
		return nil
	}
	conn, err := d.Reads.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { d.Reads.Release(conn, err != nil) }()
	ctx, cancel := context.WithTimeout(conn.Bind(ctx), blocking.ReadTimeout)
	defer cancel()
	version := d.Query.Version()
	var meta *api.QueryMeta
	_, meta, err = d.API.Health().Service(service.name, UnusedTag, false, d.Query.Base().WithContext(ctx))
	count := func(result string) { d.Query.Requests.WithLabelValues(indexEndpoint, result).Inc() }
	switch {
	case err != nil && failure.Classify(err) == failure.Unexpected: // about this name only; its own read reports it
		count(blocking.ResultError)
		return nil
	case err != nil && ctx.Err() == nil && d.Query.Rotated(version, err):
		return blocking.ErrRotated
	case err != nil:
		count(blocking.ResultError)
		return err
	case meta.LastIndex <= 1:
		count(blocking.ResultDiscarded)
		return nil
	}
	count(blocking.ResultOK)
	service.query.Observe(meta.LastIndex)
	return nil
}
