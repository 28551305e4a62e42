package consul

import (
	"context"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
)

// open creates the pools and the detector after the first response has shown the version of HTTP. The list keeps a connection
// of its own, so neither reads nor polls delay it.
func (s *Source) open(ctx context.Context, services int) {
	if s.polls == nil {
		reads, polls := s.newPools()
		s.mu.Lock()
		s.reads, s.polls = reads, polls
		s.detector = detect.New(s.detectConfig())
		s.mu.Unlock()
		close(s.opened)
	}
	s.raiseStreams(ctx, services)
}

func (s *Source) newPools() (reads, polls *client.Pool) {
	connections := s.opts.Connections
	if s.opts.ServiceDefaults {
		connections--
	}
	if s.client.HTTP2() {
		return client.NewSharedPool(1, s.opts.Limits.Reads, s.client.NewTransport),
			client.NewSharedPool(connections-2, client.DefaultStreams, s.client.NewTransport)
	}
	forReads := min(s.opts.Limits.Reads, max(1, connections/10)) // reads are short, polls are long
	return client.NewPool(forReads, s.client.NewTransport),
		client.NewPool(connections-1-forReads, s.client.NewTransport)
}

func (s *Source) detectConfig() detect.Config {
	return detect.Config{
		Query: s.query, API: s.client.API, Reads: s.reads, Polls: s.polls, Log: s.log, MaxStaleness: s.metrics.maxStaleness,
		Wait: s.opts.Wait, WatchWait: s.opts.watchWait, VerifyAfter: s.opts.verifyAfter,
		ListPause: listPause, Synced: s.isSynced, Go: s.group.Go,
	}
}

// raiseStreams lets more requests share an HTTP/2 connection, as far as the server allows it, if there are more services than
// polls. It asks the server once.
func (s *Source) raiseStreams(ctx context.Context, services int) {
	if !s.polls.Shared() || s.streamsKnown || services <= s.polls.Size() {
		return
	}
	s.streamsKnown = true
	streams, err := s.client.Streams(ctx)
	if err != nil {
		s.log.Debug("reading the stream limit of the server failed, using the default", "error", s.failures.Redact(err))
	}
	s.polls.Resize(streams)
}

// follow handles the newest list of names. It starts to follow new services. It reads removed services again, because the list
// alone must not remove them. Complete means that no ACL reduced the list.
func (s *Source) follow(ctx context.Context, names map[string]uint64, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.listed
	s.listed = names
	initial := s.sync.begin(names, complete)
	if initial {
		s.selector.expect(names)
	}
	s.detector.Resize() // before the first service is read
	for name := range names {
		if s.services[name] == nil {
			s.start(ctx, newServiceWatch(s, name, initial))
		}
	}
	for name := range before {
		if w := s.services[name]; w != nil && !contains(names, name) {
			w.Refresh()
		}
	}
	s.detector.Update(ctx)
	s.reportSynced()
}

// start follows a service. Source.mu is held.
func (s *Source) start(ctx context.Context, w *serviceWatch) {
	s.services[w.name] = w
	s.detector.Add(w.detected)
	s.group.Go(func() { w.Run(ctx) })
}

// isListed reports whether the newest list has the name.
func (s *Source) isListed(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return contains(s.listed, name)
}

// unfollow stops following a service that has no instances or is not selected, unless the list has its name (again). It
// reports whether it did.
func (s *Source) unfollow(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if contains(s.listed, name) {
		return false
	}
	w := s.services[name]
	delete(s.services, name)
	s.detector.Remove(w.detected, w.last.Instances)
	s.selector.forget(name)
	s.failures.Clear(name)
	s.admitLater()
	return true
}

func contains(names map[string]uint64, name string) bool {
	_, ok := names[name]
	return ok
}
