package consul

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/consul/api"
)

const (
	// nobodysTag is a tag that no instance has: an answer limited to it is empty, and yet has the service's index.
	nobodysTag = "isthmus:nobody"
	// maxProbes bounds the probes in flight; half of the reads at most are probes.
	maxProbes = 8
)

// probeAll asks services for their index, a few at once, until one fails in a way that others would too.
func (w *sweeper) probeAll(ctx context.Context, services []*service) error {
	var next atomic.Int64
	var group sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range min(maxProbes, max(1, w.source.reads.size()/2), len(services)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(services) {
					return
				}
				if err := w.probeOne(ctx, services[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// probeOne asks the leader: a server that is behind would hide what a sentinel saw elsewhere.
func (w *sweeper) probeOne(ctx context.Context, service *service) error {
	s := w.source
	if !askable(service.name) {
		return nil
	}
	lane, err := s.reads.acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { s.reads.release(lane, err != nil) }()
	ctx, cancel := context.WithTimeout(lane.bind(ctx), readTimeout)
	defer cancel()
	edition, _ := s.creds.current()
	var meta *api.QueryMeta
	_, meta, err = s.client.Health().Service(service.name, nobodysTag, false, s.query().WithContext(ctx))
	switch {
	case err != nil && classify(err) == unexpected: // of this name alone; its own read tells
		s.metrics.requests.WithLabelValues("probe", "error").Inc()
		return nil
	case err != nil && ctx.Err() == nil && s.rotated(edition, err):
		return errRotated
	case err != nil:
		s.metrics.requests.WithLabelValues("probe", "error").Inc()
		return err
	case meta.LastIndex <= 1:
		s.metrics.requests.WithLabelValues("probe", "discarded").Inc()
		return nil
	}
	s.metrics.requests.WithLabelValues("probe", "ok").Inc()
	service.probed(meta.LastIndex)
	return nil
}
